//! In process: who may what, what is answered, and that answers are as the document says.

use super::{HOSTILE, LIMITS, configured, server, settings, shared};
use crate::api::document::OPENAPI;
use crate::api::router::router;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use std::path::Path;
use tower::ServiceExt as _;

/// The API on a folder of its own.
struct House {
    router: Router,
    runtime: tokio::runtime::Runtime,
}

impl House {
    fn new(folder: &Path) -> Self {
        Self::with(server::app(LIMITS, &settings(folder), shared(None), configured(), Vec::new()).unwrap())
    }

    fn with(app: crate::api::router::App) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { router: router(app), runtime }
    }

    fn ask(&self, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> (u16, String) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = match body {
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
            let status = response.status().as_u16();
            let bytes = axum::body::to_bytes(response.into_body(), 10_000_000).await.unwrap();
            (status, String::from_utf8(bytes.to_vec()).unwrap())
        })
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.ask(Method::GET, path, Some("Bearer viewer"), None);
        (status, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {text}")))
    }

    fn post(&self, path: &str, who: &str, body: Value) -> (u16, Value) {
        let (status, text) = self.ask(Method::POST, path, Some(&format!("Bearer {who}")), Some(body));
        (status, serde_json::from_str(&text).unwrap())
    }
}

#[test]
fn nobody_unknown_reads_alerts_and_roles_hold() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path());
    let close = "/api/v1/alerts/aaa/close";
    for (what, method, path, token, status) in [
        ("nobody", Method::GET, "/api/v1/alerts", None, 401),
        ("a wrong token", Method::GET, "/api/v1/alerts", Some("Bearer guessed"), 401),
        ("no token at all", Method::GET, "/api/v1/alerts", Some("Bearer "), 401),
        ("another scheme", Method::GET, "/api/v1/alerts", Some("Digest viewer"), 401),
        ("a password nobody has", Method::GET, "/api/v1/alerts", Some("Basic dmlld2VyOng="), 401),
        ("a viewer", Method::GET, "/api/v1/alerts", Some("Bearer viewer"), 200),
        ("a viewer decides", Method::POST, close, Some("Bearer viewer"), 403),
        ("an analyst reads the audit log", Method::GET, "/api/v1/audit", Some("Bearer analyst"), 403),
        ("an admin reads it", Method::GET, "/api/v1/audit", Some("Bearer admin"), 200),
        ("metrics are open on loopback", Method::GET, "/metrics", None, 200),
        ("health is open", Method::GET, "/-/healthy", None, 200),
        ("the document is open", Method::GET, "/api/v1/openapi.json", None, 200),
        ("nothing there, and nobody", Method::GET, "/api/v1/nothing", None, 401),
        ("nothing there", Method::GET, "/api/v1/nothing", Some("Bearer viewer"), 404),
        ("another method", Method::DELETE, "/api/v1/alerts", Some("Bearer admin"), 405),
    ] {
        let body = (method == Method::POST).then(|| json!({}));
        let (got, text) = house.ask(method, path, token, body);
        assert_eq!(got, status, "{what}: {text}");
    }
}

#[test]
fn without_tokens_and_users_the_api_is_closed_and_says_how_to_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = server::Settings { token_file: None, ..settings(folder.path()) };
    let house = House::with(server::app(LIMITS, &settings, shared(None), configured(), Vec::new()).unwrap());
    let (status, text) = house.ask(Method::GET, "/api/v1/alerts", None, None);
    assert_eq!(status, 403);
    assert!(text.contains("--web.token-file"), "{text}");
}

#[test]
fn a_decision_is_written_down_shown_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let open = |house: &House, detector: &str, severity: &str| {
        let (_, text) = house.ask(Method::GET, "/metrics", None, None);
        let wanted = format!("yukue_alerts_open{{detector=\"{detector}\",severity=\"{severity}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&wanted)).unwrap().to_owned()
    };
    let house = House::new(folder.path());
    assert_eq!(open(&house, "common_cause", "critical"), "1");
    let (status, row) = house.post("/api/v1/alerts/aaa/acknowledge", "analyst", json!({"comment": HOSTILE}));
    assert_eq!((status, &row["status"], &row["handled_by"]), (200, &json!("acknowledged"), &json!("analyst-name")));
    assert_eq!(open(&house, "common_cause", "critical"), "0");
    for (path, who, body, status) in [
        ("/api/v1/alerts/aaa/acknowledge", "analyst", json!({}), 409),
        ("/api/v1/alerts/aaa/close", "analyst", json!({"comment": "done"}), 200),
        ("/api/v1/alerts/aaa/close", "analyst", json!({}), 409),
        ("/api/v1/alerts/bbb/reopen", "analyst", json!({}), 409),
        ("/api/v1/alerts/none/close", "analyst", json!({}), 404),
        ("/api/v1/alerts/bbb/close", "analyst", json!({"verdict": 1}), 400),
        ("/api/v1/alerts/bbb/close", "analyst", json!({"comment": "x".repeat(2001)}), 400),
        ("/api/v1/alerts/bbb/close", "analyst", json!({"comment": "x".repeat(20_000)}), 413),
    ] {
        let (got, said) = house.post(path, who, body);
        assert_eq!(got, status, "{path}: {said}");
    }
    drop(house);

    let house = House::new(folder.path());
    let (_, page) = house.get("/api/v1/alerts?status=closed");
    assert_eq!(page["items"][0]["id"], "aaa", "decisions survive a restart");
    let (_, one) = house.get("/api/v1/alerts/aaa");
    assert_eq!(one["decisions"].as_array().unwrap().len(), 2);
    assert_eq!(one["decisions"][1]["comment"], HOSTILE);
    assert_eq!(house.post("/api/v1/alerts/aaa/reopen", "admin", json!({})).1["status"], "open");
    assert_eq!(open(&house, "common_cause", "critical"), "1");
    let log = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 3, "refused decisions leave no line:\n{log}");
}

#[test]
fn a_page_of_another_site_cannot_decide() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path());
    let request = Request::post("/api/v1/alerts/aaa/close").header(header::AUTHORIZATION, "Bearer analyst");
    let request = request.header(header::CONTENT_TYPE, "text/plain").body(Body::from("{}")).unwrap();
    let response = house.runtime.block_on(house.router.clone().oneshot(request)).unwrap();
    assert_eq!(response.status().as_u16(), 400, "a form cannot send JSON that is called so");
}

#[test]
fn lists_are_filtered_and_paged() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path());
    let ids = |path: &str| {
        let (status, page) = house.get(path);
        assert_eq!(status, 200, "{path}: {page}");
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|row| row.get("id").or_else(|| row.get("value")).unwrap().as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (path, expected) in [
        ("/api/v1/alerts", vec!["aaa", "bbb", "ccc"]),
        ("/api/v1/alerts?severity=high,critical", vec!["aaa", "ccc"]),
        ("/api/v1/alerts?severity=&detector=", vec!["aaa", "bbb", "ccc"]),
        ("/api/v1/alerts?detector=dga,beacon", vec!["bbb", "ccc"]),
        ("/api/v1/alerts?host=10.20.1.5", vec!["aaa", "bbb", "ccc"]),
        ("/api/v1/alerts?host=10.20.1.6", vec![]),
        ("/api/v1/alerts?from=1764417750000&to=1764417850000", vec!["bbb"]),
        ("/api/v1/alerts?from=2025-11-29T12:04:00Z", vec!["aaa"]),
        ("/api/v1/alerts?status=closed", vec![]),
        ("/api/v1/alerts?limit=2", vec!["aaa", "bbb"]),
        ("/api/v1/findings", vec!["fff"]),
        ("/api/v1/hosts", vec!["ip:10.20.1.5", "ip:2001:db8::5"]),
        ("/api/v1/hosts?role=server", vec![]),
        ("/api/v1/hosts?q=2001", vec!["ip:2001:db8::5"]),
        ("/api/v1/destinations?destination_class=cloud_storage", vec!["bucket.example"]),
    ] {
        assert_eq!(ids(path), expected, "{path}");
    }
    let next = house.get("/api/v1/alerts?limit=2").1["next"].as_str().unwrap().to_owned();
    assert_eq!(ids(&format!("/api/v1/alerts?limit=2&cursor={next}")), ["ccc"]);
    assert_eq!(house.get("/api/v1/hosts").1["items"][0]["alerts_open"], 3);
    assert_eq!(house.get("/api/v1/hosts").1["items"][0]["severity"], "critical");
    assert_eq!(house.get("/api/v1/destinations").1["items"][0]["advice"], "block");
    for wrong in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "cursor=x",
        "from=yesterday",
        "severity=urgent",
        "colour=red",
        "limit=1&limit=2",
    ] {
        let (status, said) = house.get(&format!("/api/v1/alerts?{wrong}"));
        assert_eq!(status, 400, "{wrong}");
        assert!(said["detail"].as_str().unwrap().len() > 10, "{said}");
    }
}

#[test]
fn stories_that_share_parties_are_one_graph() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path());
    let (_, nodes) = house.get("/api/v1/graph/nodes");
    let (_, edges) = house.get("/api/v1/graph/edges");
    let nodes = nodes["items"].as_array().unwrap();
    assert_eq!((nodes.len(), edges["items"].as_array().unwrap().len()), (2, 1));
    for node in nodes {
        let arcs = ["arc__affected", "arc__server", "arc__destination"].map(|arc| node[arc].as_f64().unwrap());
        assert!((arcs.iter().sum::<f64>() - 1.0).abs() < 1e-9, "the panel draws a whole circle");
        assert_eq!(node["detail__severity"], "critical", "the worst of three");
    }
}

#[test]
fn no_answer_carries_a_character_that_commands_or_hides() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path());
    for path in ["alerts", "findings", "hosts", "hosts/10.20.1.5", "destinations", "graph/nodes", "status"] {
        let (status, text) = house.ask(Method::GET, &format!("/api/v1/{path}"), Some("Bearer viewer"), None);
        assert_eq!(status, 200, "{path}");
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r', '\n']), "{path}: {text:?}");
        let document: Value = serde_json::from_str(&text).unwrap();
        assert!(document.to_string().contains("行方"), "{path}: the name itself is there");
        let (status, text) =
            house.ask(Method::GET, &format!("/api/v1/alerts?severity=%1b%5b2J{path}"), Some("Bearer viewer"), None);
        assert_eq!((status, text.contains('\u{1b}')), (400, false));
    }
}

#[test]
fn every_answer_is_as_the_document_says_and_every_path_of_it_is_there() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path());
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let concrete = match path.as_str() {
                "/api/v1/findings/{id}" => "/api/v1/findings/fff".to_owned(),
                other => other.replace("{id}", "bbb").replace("{host}", "10.20.1.5"),
            };
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = (method == Method::POST).then(|| json!({"comment": "c"}));
            if concrete.ends_with("reopen") {
                house.post("/api/v1/alerts/bbb/acknowledge", "analyst", json!({}));
            }
            let (status, text) = house.ask(method, &concrete, Some("Bearer admin"), body);
            assert_eq!(status, 200, "{concrete}: {text}");
            if concrete.ends_with("acknowledge") || concrete.ends_with("close") {
                house.post("/api/v1/alerts/bbb/reopen", "analyst", json!({}));
            }
            holds(&document, &operation["responses"]["200"]["content"]["application/json"]["schema"], &text, &concrete);
            seen += 1;
        }
    }
    assert_eq!(seen, 14);
    let (status, problem) = house.ask(Method::GET, "/api/v1/alerts?limit=0", Some("Bearer viewer"), None);
    assert_eq!(status, 400);
    holds(&document, &json!({"$ref": "#/components/schemas/Problem"}), &problem, "a problem");
}

/// Whether `text` is what `schema` of `document` says.
fn holds(document: &Value, schema: &Value, text: &str, what: &str) {
    let mut schema = schema.clone();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["components"] = document["components"].clone();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let answer: Value = serde_json::from_str(text).unwrap();
    let wrong: Vec<_> = validator.iter_errors(&answer).map(|e| format!("{e} at {}", e.instance_path)).collect();
    assert!(wrong.is_empty(), "{what}: {}\n{answer:#}", wrong.join("\n"));
}

#[test]
fn ready_names_the_checks_that_fail() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let with =
        |failing| House::with(server::app(LIMITS, &settings, shared(failing), configured(), Vec::new()).unwrap());
    let (status, text) = with(None).ask(Method::GET, "/-/ready", None, None);
    assert_eq!((status, text.as_str()), (200, r#"{"ready":true,"failing":[]}"#));
    let house = with(Some("no interface is up"));
    let (status, text) = house.ask(Method::GET, "/readyz", None, None);
    assert_eq!(status, 503);
    assert!(text.contains(r#"{"name":"capture","failing":"no interface is up"}"#), "{text}");
    // A file that went wrong later is said, and what was read before holds.
    std::fs::write(settings.token_file.as_ref().unwrap(), "token = 5").unwrap();
    assert_eq!(house.get("/api/v1/alerts").0, 200);
    assert!(house.ask(Method::GET, "/-/ready", None, None).1.contains("token_file"));
}

#[test]
fn beyond_this_machine_nothing_is_shown_in_the_clear_unless_somebody_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for (listen, insecure, comes_up) in [
        ("127.0.0.1:0", false, true),
        ("[::1]:0", false, true),
        ("[::ffff:127.0.0.1]:0", false, true),
        ("0.0.0.0:0", false, false),
        ("[::]:0", false, false),
        ("192.0.2.1:0", false, false),
        ("0.0.0.0:0", true, true),
    ] {
        let settings = server::Settings { listen: listen.parse().unwrap(), insecure, ..settings(folder.path()) };
        let app = server::app(LIMITS, &settings, shared(None), configured(), Vec::new());
        assert_eq!(app.is_ok(), comes_up, "{listen}");
        if let Err(error) = app {
            assert!(error.to_string().contains("--web.insecure"), "{error}");
        }
    }
}
