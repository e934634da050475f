//! Rules that the API server holds, in its expression language, and the bounds that keep them
//! cheap. They repeat the rules of `backout_core`'s `validate`, so that `kubectl apply` refuses
//! what the controller would refuse; the controller still checks every object itself, because
//! not every rule can be said here.

use serde_json::{Value, json};

/// Adds the rules of a policy's body.
pub(super) fn policy(spec: &mut Value) {
    texts(spec);
    strategy(spec);
    signals(spec);
    let workload = at(spec, &["workload"]);
    rule(
        workload,
        "self == oldSelf",
        "the workload of a policy cannot be changed; make a new policy for the other workload",
    );
    let environments = at(spec, &["environments"]);
    bound(environments, "maxItems", 16);
    rule(
        environments,
        "self.size() > 0",
        "there is no environment; name at least the environment that is released to, such as production",
    );
    unique(environments, "name", "environment");
    bound(at(spec, &["environments", "[]", "config", "values"]), "maxItems", 16);
    let triggers = at(spec, &["triggers"]);
    rule_at(
        triggers,
        "self.window.contains('d') || duration(self.window) >= duration('5s')",
        "a window shorter than 5s is shorter than any scrape interval; use at least 5s",
        ".window",
    );
    rule_at(
        triggers,
        "self.consecutive >= 1",
        "zero windows decide nothing; use 2, or 1 if a single window may decide",
        ".consecutive",
    );
    let gates = at(spec, &["gates"]);
    bound(gates, "maxItems", 16);
    rule(
        gates,
        "self.all(gate, self.exists_one(other, other == gate))",
        "a gate is there twice; remove one",
    );
    let run = at(spec, &["gates", "[]", "smokeTest", "run"]);
    bound(run, "maxItems", 16);
    bound(at(run, &["[]"]), "maxLength", 256);
    rule(
        run,
        "self.size() > 0",
        "the smoke test has no command; write the program and its arguments as a list",
    );
}

fn strategy(spec: &mut Value) {
    let strategy = at(spec, &["strategy"]);
    rule(
        strategy,
        "has(self.canary) || has(self.blueGreen)",
        "the strategy has neither `canary` nor `blueGreen`; write `canary: { steps: [...] }` or `blueGreen: { analyse: 10m }`",
    );
    rule(
        strategy,
        "!(has(self.canary) && has(self.blueGreen))",
        "a strategy is either `canary` or `blueGreen`, not both; remove one of them",
    );
    let steps = at(strategy, &["canary", "steps"]);
    bound(steps, "maxItems", 64);
    rule(
        steps,
        "self.exists(step, has(step.setWeight) && step.setWeight == 100)",
        "the last weight is not 100%; end the steps with `setWeight: 100`",
    );
    rule(
        steps,
        "self.filter(step, has(step.setWeight)).map(step, step.setWeight).isSorted()",
        "weights must rise; going down is what a rollback does, not a step",
    );
    rule(
        steps,
        "self.filter(step, has(step.setWeight)).all(step, self.exists_one(other, has(other.setWeight) && other.setWeight == step.setWeight))",
        "a weight is the same as another one: the step is there twice; remove it, or give it a higher weight",
    );
    rule(
        steps,
        "self.size() == 0 || has(self[0].setWeight) || has(self[0].approve)",
        "nothing can be analysed before the candidate has traffic; put a `setWeight` before it",
    );
    // `analyse` is a union, which rules cannot see; counting the fields holds the same rule.
    let step = at(steps, &["[]"]);
    bound(step, "minProperties", 1);
    bound(step, "maxProperties", 1);
    rule(
        at(step, &["setWeight"]),
        "self > 0",
        "a weight of 0% sends no traffic; remove the step, or give it a higher weight",
    );
    let replicas = at(spec, &["traffic", "route"])["properties"].get("by").is_some();
    let by = if replicas {
        " || (has(self.traffic.route.by) && self.traffic.route.by == 'replicas')"
    } else {
        ""
    };
    let carries = format!(
        "self.traffic.route.kind != 'Service'{by} || !has(self.strategy.canary) || self.strategy.canary.steps.all(step, !has(step.setWeight) || step.setWeight == 100)"
    );
    rule_at(
        spec,
        &carries,
        "a Service cannot carry a part of the traffic; use `blueGreen`, or a route of kind HTTPRoute",
        ".strategy.canary",
    );
}

/// Whether a signal's `max` is a latency.
const IS_LATENCY: &str =
    "has(self.quantile) || (has(self.preset) && self.preset.measures == 'latency')";

fn signals(spec: &mut Value) {
    let signals = at(spec, &["signals"]);
    bound(signals, "maxItems", 32);
    rule(
        signals,
        "self.size() > 0",
        "there is no signal; a rollout without a signal cannot be judged; start with the error rate",
    );
    unique(signals, "name", "signal");
    let signal = at(signals, &["[]"]);
    rule(
        signal,
        "[has(self.ratio), has(self.quantile), has(self.gauge), has(self.preset)].exists_one(given, given)",
        "a signal needs exactly one of `ratio`, `quantile`, `gauge` and `preset`; see `backout schema ReleasePolicy` for the shape of a signal",
    );
    rule(
        at(signal, &["preset"]),
        "has(self.q) == (self.measures == 'latency')",
        "a preset that measures latency needs a quantile, such as `q: 0.99`, and one that measures errors has none",
    );
    rule_at(
        signal,
        &format!("!({IS_LATENCY}) || !self.max.endsWith('%')"),
        "`max` of a quantile is a latency such as 400ms, not a percentage",
        ".max",
    );
    rule_at(
        signal,
        &format!("{IS_LATENCY} || self.max.endsWith('%')"),
        "`max` of a ratio or gauge is a percentage such as 1%, not a latency",
        ".max",
    );
    for path in [&["ratio", "bad"][..], &["ratio", "total"], &["quantile", "histogram"], &["gauge"]]
    {
        let query = at(signal, path);
        bound(query, "maxLength", 8192);
        rule(query, "self.trim() != ''", "the query is empty; write a PromQL query");
    }
}

/// Adds the rules of a release's body.
pub(super) fn release(spec: &mut Value) {
    texts(spec);
    rule(
        spec,
        "self == oldSelf",
        "a release is an immutable record and cannot be changed; make a new release for the other content",
    );
    rule_at(
        spec,
        "!has(self.migrations) || self.migrations.all(migration, !has(migration.guardedBy) || (has(self.flags) && self.flags.exists(flag, flag.key == migration.guardedBy)))",
        "a migration is guarded by a flag that the release does not have; list the flag under `flags`, or remove `guardedBy`",
        ".migrations",
    );
    rule(at(spec, &["version"]), "self.trim() != ''", "the version is empty; name it");
    let images = at(spec, &["images"]);
    bound(images, "maxItems", 32);
    rule(
        images,
        "self.size() > 0",
        "the release has no image; list each container image with the digest that the build made",
    );
    unique(images, "name", "image");
    digest(at(images, &["[]", "digest"]));
    let flags = at(spec, &["flags"]);
    bound(flags, "maxItems", 64);
    unique(flags, "key", "flag");
    let modules = at(spec, &["infrastructure"]);
    bound(modules, "maxItems", 64);
    unique(modules, "name", "module");
    // A schema can consist of a thousand migrations. Comparing each with each would be too dear a
    // rule, so the API server holds their ids apart as keys of a list.
    let migrations = at(spec, &["migrations"]);
    bound(migrations, "maxItems", 1024);
    migrations["x-kubernetes-list-type"] = json!("map");
    migrations["x-kubernetes-list-map-keys"] = json!(["id"]);
    rule(
        at(spec, &["context", "gitSha"]),
        "self.matches('^([0-9a-f]{40}|[0-9a-f]{64})$')",
        "a commit is 40 (SHA-1) or 64 (SHA-256) lowercase hexadecimal digits; write the whole id, as `git rev-parse HEAD` prints it",
    );
}

/// Adds the rules of a quarantine's body.
pub(super) fn quarantine(spec: &mut Value) {
    texts(spec);
    rule(
        spec,
        "self == oldSelf",
        "a quarantine cannot be changed; delete it to lift it, and make a new one for another digest",
    );
    digest(at(spec, &["digest"]));
    let reason = at(spec, &["reason"]);
    bound(reason, "maxLength", 512);
    rule(
        reason,
        "self.trim() != ''",
        "the reason is empty; say why the image must not be deployed again",
    );
}

/// The message of a pattern shows the pattern. A rule can say what is meant.
fn digest(schema: &mut Value) {
    bound(schema, "maxLength", 135);
    if let Some(Value::String(pattern)) = schema.as_object_mut().and_then(|it| it.remove("pattern"))
    {
        let holds = format!("self.matches('{pattern}')");
        rule(
            schema,
            &holds,
            "a digest is sha256: and 64, or sha512: and 128, lowercase hexadecimal digits; copy it from the build, not the tag",
        );
    }
}

fn unique(list: &mut Value, key: &str, what: &str) {
    let holds = format!("self.all(it, self.exists_one(other, other.{key} == it.{key}))");
    let message = format!(
        "two entries have the same {key}: give each {what} a {key} of its own, or remove one"
    );
    rule(list, &holds, &message);
}

/// Gives every text without a bound one: rules are only accepted where their cost is bounded.
fn texts(schema: &mut Value) {
    if schema["type"] == "string"
        && schema.get("enum").is_none()
        && schema.get("maxLength").is_none()
    {
        let longest = if schema.get("pattern").is_some() { 135 } else { 1024 };
        schema["maxLength"] = json!(longest);
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(texts);
    }
    if let Some(items) = schema.get_mut("items") {
        texts(items);
    }
}

/// The schema of a field; `[]` is the entry of a list.
fn at<'a>(mut schema: &'a mut Value, path: &[&str]) -> &'a mut Value {
    for field in path {
        schema = match *field {
            "[]" => &mut schema["items"],
            name => &mut schema["properties"][name],
        };
    }
    schema
}

fn bound(schema: &mut Value, key: &str, value: u32) {
    schema[key] = json!(value);
}

fn rule(schema: &mut Value, holds: &str, message: &str) {
    push(schema, json!({ "rule": holds, "message": message, "reason": reason(holds) }));
}

fn rule_at(schema: &mut Value, holds: &str, message: &str, field: &str) {
    push(
        schema,
        json!({ "rule": holds, "message": message, "reason": reason(holds), "fieldPath": field }),
    );
}

/// A changed field is forbidden; everything else is a value that is not valid.
fn reason(holds: &str) -> &'static str {
    if holds.contains("oldSelf") { "FieldValueForbidden" } else { "FieldValueInvalid" }
}

fn push(schema: &mut Value, rule: Value) {
    const KEY: &str = "x-kubernetes-validations";
    match schema.get_mut(KEY) {
        Some(Value::Array(rules)) => rules.push(rule),
        _ => schema[KEY] = json!([rule]),
    }
}
