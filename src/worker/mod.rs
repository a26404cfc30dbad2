//! Workers: handlers that are given the messages of a group as they come.

mod settle;
