//! What other tools make of it: promtool of the metrics, schemathesis of the API. Each says SKIPPED where it is not
//! installed; `tests/api.sh` installs schemathesis and runs both.

use super::{LIMITS, configured, server, settings, shared};
use std::io::Write as _;
use std::process::{Command, Stdio};

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let folder = tempfile::tempdir().unwrap();
    let app = server::app(LIMITS, &settings(folder.path()), shared(None), configured(), Vec::new()).unwrap();
    let text = app.exposition.text().unwrap();
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        println!("SKIPPED: no promtool; it comes with Debian's package prometheus");
        return;
    };
    promtool.stdin.take().unwrap().write_all(&text).unwrap();
    let out = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.trim().is_empty(), "{said}");
}

/// Some thousand requests made from the document, right ones and wrong ones: none may be answered by an error of ours,
/// or otherwise than the document says.
#[test]
#[ignore = "a minute, and needs schemathesis: tests/api.sh"]
fn schemathesis_finds_no_answer_that_the_document_does_not_allow() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let running = server::start(&settings, shared(None), configured(), Vec::new()).unwrap();
    let at = running.address;
    #[expect(clippy::disallowed_methods, reason = "the script says which one it installed")]
    let tool = std::env::var("SCHEMATHESIS").unwrap_or_else(|_| "schemathesis".to_owned());
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                  negative_data_rejection,unsupported_method,ignored_auth";
    let out = Command::new(&tool)
        .current_dir(folder.path())
        .args(["run", &format!("http://{at}/api/v1/openapi.json"), "--url", &format!("http://{at}")])
        .args(["-H", "Authorization: Bearer admin", "--checks", checks, "--max-examples", "60", "--seed", "20261129"])
        .args(["--no-color", "--workers", "1"])
        .output();
    let Ok(out) = out else {
        println!("SKIPPED: no {tool}");
        return;
    };
    let said = String::from_utf8_lossy(&out.stdout);
    println!("{said}");
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
}
