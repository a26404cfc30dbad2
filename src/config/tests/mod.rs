mod files;
mod metrics;
mod samples;
mod shapes;
mod storage;
