mod files;
mod samples;
mod shapes;
mod storage;
