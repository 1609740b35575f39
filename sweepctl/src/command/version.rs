//! `version`: the releases of both ends.

use serde_json::json;

use crate::cli::Format;
use crate::client::Client;
use crate::config::Config;
use crate::fault::Fault;
use crate::output::{Out, safe};

/// Prints them; a coordinator that does not answer is no failure.
pub(crate) async fn run(out: &Out, config: &Config) -> Result<(), Fault> {
    let own = env!("CARGO_PKG_VERSION");
    let server = config.server();
    let info = match config.way() {
        Ok(way) => match Client::connect(&way).await {
            Ok(client) => client.info().await,
            Err(fault) => Err(fault),
        },
        Err(fault) => Err(fault),
    };
    if out.format == Format::Json {
        let coordinator = info.as_ref().ok().map(|info| json!({"server": server, "info": info}));
        return out.json(&json!({
            "sweepctl": own,
            "protocol": sweep_proto::PROTOCOL,
            "coordinator": coordinator,
        }));
    }
    let mut text = format!("sweepctl {own}, protocol {}\n", sweep_proto::PROTOCOL);
    match info {
        Ok(info) => {
            text += &format!("coordinator {}, protocol {}, at {server}\n", safe(&info.build), info.protocol);
            out.print(text)?;
            if info.protocol != sweep_proto::PROTOCOL {
                out.warn("sweepctl and the coordinator speak different protocols; install the same release of both");
            }
            Ok(())
        }
        Err(fault) => {
            out.print(text)?;
            out.note(fault.to_string());
            Ok(())
        }
    }
}
