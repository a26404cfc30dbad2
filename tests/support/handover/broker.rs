//! A real RocketMQ broker, run over a store directory by a tool that is not part of this repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Where the tool is: an executable `interop` in this folder.
const TOOL: &str = "POCKETMQ_INTEROP";
/// Versions of RocketMQ, with spaces between them.
const VERSIONS: &str = "POCKETMQ_BROKERS";

/// What the stores of `examples/handover` are made of.
const GEOMETRY: [&str; 3] =
    ["mappedFileSizeCommitLog=262144", "mappedFileSizeConsumeQueue=2000", "maxMessageSize=4194304"];

#[derive(Debug)]
pub struct Broker {
    tool: PathBuf,
    version: String,
}

/// How a broker that was started over a store ended.
#[derive(Debug)]
pub enum Outcome {
    /// It served this, and stopped cleanly.
    Served(Vec<Value>),
    /// It would not start, and said why.
    Refused(String),
}

impl Broker {
    /// One for every version that is asked for; none where the tool is missing, and says so.
    pub fn all() -> Vec<Self> {
        let Some(folder) = std::env::var_os(TOOL) else {
            println!("SKIPPED: {TOOL} does not say where the tool is that starts a broker");
            return Vec::new();
        };
        let versions = std::env::var(VERSIONS).unwrap_or_else(|_| "5.3.3 5.5.0".to_owned());
        let tool = Path::new(&folder).join("interop");
        assert!(tool.is_file(), "{} is not there", tool.display());
        let broker = |version: &str| Self { tool: tool.clone(), version: version.to_owned() };
        versions.split_whitespace().map(broker).collect()
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// Starts the broker over the store, asks for everything, and stops it.
    pub fn serve(&self, store: &Path) -> Outcome {
        let (output, text) = self.run("serve-and-dump", store, &[]);
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        match output.status.code() {
            Some(0) => Outcome::Served(lines),
            Some(3) => Outcome::Refused(lines[0]["why"].to_string()),
            _ => panic!("{self:?}: {output:?}"),
        }
    }

    /// Starts the broker over the store and sends it messages of many shapes; then it is stopped, or killed while it takes
    /// more. Returns what its own classes find in the store afterwards.
    pub fn produce(&self, store: &Path, kill: bool) -> Value {
        let crash = ["--crash"];
        let mut more = vec!["--scenario", "basic", "--seed", "5", "--bulk", "300"];
        more.extend(crash.iter().filter(|_| kill));
        let (output, text) = self.run("produce", store, &more);
        assert!(output.status.success(), "{self:?}: {output:?}");
        serde_json::from_str(&text).unwrap()
    }

    fn run(&self, what: &str, store: &Path, more: &[&str]) -> (Output, String) {
        let work = tempfile::tempdir().unwrap();
        let out = work.path().join("out");
        let mut command = Command::new(&self.tool);
        command.args([what, "--version", &self.version, "--store"]).arg(store);
        command.arg("--out").arg(&out).args(more);
        for setting in GEOMETRY {
            command.args(["--geometry", setting]);
        }
        let output = command.output().unwrap();
        let text = std::fs::read_to_string(&out);
        let text = text.unwrap_or_else(|e| panic!("{self:?} wrote nothing: {e}, {output:?}"));
        (output, text)
    }
}
