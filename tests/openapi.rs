//! `/openapi.json` against the real routes, statuses and bodies.

mod support;

use std::collections::BTreeSet;

use millrace::app::routes::ROUTES;
use serde_json::{Value, json};
use support::{Answer, Server, event, get, post};

fn description(server: &Server) -> Value {
    let answer = server.once(&get("/openapi.json"));
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    serde_json::from_slice(&answer.content).expect("JSON")
}

/// What the description says of an answer, with what it refers to.
fn response<'d>(description: &'d Value, path: &str, method: &str, status: u16) -> &'d Value {
    let responses = &description["paths"][path][method]["responses"];
    let listed = responses.get(status.to_string()).or_else(|| responses.get("default"));
    let listed = listed.unwrap_or_else(|| panic!("{method} {path}: {status} is not described"));
    match listed["$ref"].as_str() {
        Some(reference) => {
            description.pointer(reference.trim_start_matches('#')).expect("it is there")
        }
        None => listed,
    }
}

/// A schema that may refer to others of the description.
fn conforms(description: &Value, schema: &Value, value: &Value) -> bool {
    let whole = json!({ "allOf": [schema], "components": description["components"] });
    jsonschema::validator_for(&whole).expect("a schema").is_valid(value)
}

fn check(description: &Value, path: &str, method: &str, answer: &Answer) {
    let response = response(description, path, method, answer.status);
    let place = format!("{method} {path} {}: {}", answer.status, answer.head);
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let required = header["required"] == true || header.get("$ref").is_some();
        assert!(!required || answer.field(name).is_some(), "{name}: {place}");
    }
    let media_type = answer.field("content-type").map(|it| it.split(';').next().unwrap_or(it));
    let Some(media_type) = media_type else {
        assert!(response.get("content").is_none() && answer.content.is_empty(), "{place}");
        return;
    };
    let schema = &response["content"][media_type]["schema"];
    assert!(schema.is_object(), "{place}");
    if media_type == "application/json" {
        let value = serde_json::from_slice(&answer.content).expect("JSON");
        assert!(conforms(description, schema, &value), "{place}\n{value}");
    }
}

#[test]
fn it_describes_every_route_and_no_other() {
    let description = description(&Server::start(&[]));
    let described: BTreeSet<String> = description["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("an item").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let routes: BTreeSet<String> = ROUTES
        .iter()
        .map(|it| format!("{} {}", it.methods.allow().split(',').next().expect("one"), it.path))
        .collect();
    assert_eq!(described, routes);
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn answers_are_as_described() {
    let server = Server::start(&["--max-users", "2", "--max-body", "200"]);
    let small = Server::start(&["--max-batch-body", "10"]);
    let resettable = Server::start(&["--allow-reset"]);
    let description = description(&server);
    let mut seen = BTreeSet::new();
    for (server, request) in [
        (&server, event("a", 1e308)),
        (&server, event("b", 1.0)),
        (&server, event("c", 1.0)),
        (&server, post("/event", "{}")),
        (&server, post("/event", &" ".repeat(300))),
        (&server, get("/stats")),
        (&server, post("/events", "[]")),
        (&server, post("/events", r#"[{"userId":"a","value":0}]"#)),
        (&server, post("/events", r#"[{"userId":"c","value":0}]"#)),
        (&server, post("/events", "[{}]")),
        (&server, post("/events", &"\n".repeat(100))),
        (&server, post("/events", &"{\"userId\":\"a\",\"value\":0}\n".repeat(3))),
        (&small, post("/events", &" ".repeat(11))),
        (&server, event("a", 1e308)),
        (&server, get("/stats")),
        (&server, get("/health")),
        (&server, get("/metrics")),
        (&server, get("/")),
        (&server, get("/openapi.json")),
        (&server, post("/reset", "")),
        (&resettable, post("/reset", "")),
        (&resettable, get("/stats")),
        (&server, get("/event")),
        (&server, post("/stats", "")),
    ] {
        let answer = server.once(&request);
        let mut words = request.split(' ');
        let method = words.next().expect("a method").to_lowercase();
        let path = words.next().expect("a path");
        // An answer to a method that is not described is an error like all others.
        let mut methods = [method.as_str(), "get", "post"].into_iter();
        let described = methods.find(|it| description["paths"][path].get(it).is_some());
        check(&description, path, described.expect("a method"), &answer);
        seen.insert((path.to_owned(), answer.status));
    }
    for (path, status) in [
        ("/event", 200),
        ("/event", 400),
        ("/event", 413),
        ("/event", 507),
        ("/events", 200),
        ("/events", 400),
        ("/events", 413),
        ("/events", 507),
        ("/reset", 403),
        ("/reset", 200),
    ] {
        assert!(seen.contains(&(path.to_owned(), status)), "{path} {status}");
    }
}

#[test]
fn a_live_reading_is_as_described() {
    let server = Server::start(&["--workers", "2"]);
    let description = description(&server);
    server.once(&post("/event", "[]"));
    let mut client = server.connect();
    client.send(get("/live").as_bytes());
    let mut text = String::new();
    while !text.contains("}\n\n") {
        let mut room = [0; 4096];
        let count = std::io::Read::read(&mut client.stream, &mut room).expect("in time");
        text.push_str(&String::from_utf8_lossy(&room[..count]));
    }
    let (_, data) = text.split_once("\ndata: ").expect("a reading");
    let reading = serde_json::from_str(data.split("\n\n").next().expect("a line")).expect("JSON");
    let schema = json!({ "$ref": "#/components/schemas/LiveReading" });
    assert!(conforms(&description, &schema, &reading), "{reading}");
}

#[test]
fn its_example_and_the_contract_of_an_event_agree_with_the_server() {
    let server = Server::start(&[]);
    let description = description(&server);
    let schema = &description["components"]["schemas"]["Event"];
    for (body, accepted) in [
        (schema["example"].to_string(), true),
        (json!({"userId": "u".repeat(256), "value": 0}).to_string(), true),
        (json!({"userId": "u".repeat(257), "value": 0}).to_string(), false),
        (json!({"userId": "", "value": 0}).to_string(), false),
        (json!({"userId": 1, "value": 0}).to_string(), false),
        (json!({"userId": "u", "value": "0"}).to_string(), false),
        (json!({"userId": "u"}).to_string(), false),
        (json!({"userId": "u", "value": 1.5, "more": [{}]}).to_string(), true),
        (json!([]).to_string(), false),
    ] {
        let value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(conforms(&description, schema, &value), accepted, "{body}");
        let status = server.once(&post("/event", &body)).status;
        assert_eq!(status == 200, accepted, "{body}: {status}");
    }
}
