//! The rules of all modules: where each is written, what it reaches, and what stands in the way of
//! its evaluation.

use std::collections::{BTreeMap, BTreeSet};

use backout_core::document::Location;
use backout_core::finding::Place;
use serde_json::Value;

use super::builtins;
use super::fractions;
use super::negation::{self, Meaning, Names};
use super::syntax::{Reference, location, node, walk};

/// The longest chain of rules of which each needs the next: more could use up the stack.
const MAX_CHAIN: usize = 64;

/// The path of a rule below `data`: its package and its name.
pub(crate) type RulePath = Vec<String>;

/// What stands in the way of evaluating a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Obstacle {
    /// Where it stands.
    pub at: Place,
    /// What it is, and what to do.
    pub message: String,
}

/// All definitions of one rule.
#[derive(Clone, Debug)]
pub(crate) struct RuleFacts {
    /// The first definition.
    pub at: Place,
    is_function: bool,
    /// It has a value whatever the input.
    is_always_defined: bool,
    reaches: BTreeSet<RulePath>,
    obstacles: BTreeSet<Obstacle>,
    /// An error of a built-in function could hide another answer of OPA.
    needs_no_errors: bool,
    calculates: bool,
}

/// A module, and the names that it can use without their packages.
struct Module<'a> {
    file: String,
    package: RulePath,
    imports: BTreeMap<String, Vec<String>>,
    definitions: Vec<Definition<'a>>,
}

struct Definition<'a> {
    name: String,
    fields: &'a Value,
    is_function: bool,
    is_always_defined: bool,
}

/// The rules of all modules by their paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(BTreeMap<RulePath, RuleFacts>);

/// What a rule and all that it reaches needs.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    pub(crate) obstacles: BTreeSet<Obstacle>,
    pub(crate) needs_no_errors: bool,
    /// There is arithmetic, whose results OPA has otherwise when fractions take part.
    pub(crate) calculates: bool,
}

impl Rules {
    /// Looks at the syntax trees of all modules. `knows_now` says whether the time is given.
    pub(super) fn of(modules: &Value, knows_now: bool) -> Self {
        let modules: Vec<Module<'_>> =
            modules.as_array().into_iter().flatten().filter_map(Module::of).collect();
        let mut rules = Self::default();
        for module in &modules {
            for definition in &module.definitions {
                rules.declare(module, definition);
            }
        }
        let declared = rules.clone();
        for module in &modules {
            let scope = Scope { module, rules: &declared };
            for definition in &module.definitions {
                let facts = scope.facts(definition.fields, knows_now);
                rules.add(&module.path(&definition.name), facts);
            }
        }
        rules
    }

    fn declare(&mut self, module: &Module<'_>, definition: &Definition<'_>) {
        let at = module.place(definition.fields);
        let facts = self.0.entry(module.path(&definition.name)).or_insert_with(|| RuleFacts {
            at,
            is_function: false,
            is_always_defined: false,
            reaches: BTreeSet::new(),
            obstacles: BTreeSet::new(),
            needs_no_errors: false,
            calculates: false,
        });
        facts.is_function |= definition.is_function;
        facts.is_always_defined |= definition.is_always_defined;
    }

    fn add(&mut self, path: &RulePath, (reached, needed): (Reached, BTreeSet<RulePath>)) {
        if let Some(facts) = self.0.get_mut(path) {
            facts.reaches.extend(needed);
            facts.obstacles.extend(reached.obstacles);
            facts.needs_no_errors |= reached.needs_no_errors;
            facts.calculates |= reached.calculates;
        }
    }

    /// The rules of a package, by their names.
    pub(crate) fn of_package(
        &self,
        package: &[String],
    ) -> impl Iterator<Item = (&str, &RuleFacts)> {
        self.0.iter().filter_map(move |(path, facts)| {
            let (name, rest) = path.split_last()?;
            (rest == package).then_some((name.as_str(), facts))
        })
    }

    /// Whether any rule calculates.
    pub(super) fn calculate(&self) -> bool {
        self.0.values().any(|facts| facts.calculates)
    }

    /// Whether there is a rule of this path.
    pub(super) fn has(&self, path: &RulePath) -> bool {
        self.0.contains_key(path)
    }

    /// The packages that have rules.
    pub(crate) fn packages(&self) -> BTreeSet<&[String]> {
        self.0.keys().filter_map(|path| Some(path.split_last()?.1)).collect()
    }

    /// Everything that a rule needs.
    pub(crate) fn reached(&self, path: &RulePath) -> Reached {
        let mut reached = Reached::default();
        let mut seen = BTreeSet::new();
        let mut left = vec![path];
        while let Some(next) = left.pop() {
            for (found, facts) in self.matching(next) {
                if seen.insert(found) {
                    reached.obstacles.extend(facts.obstacles.iter().cloned());
                    reached.needs_no_errors |= facts.needs_no_errors;
                    reached.calculates |= facts.calculates;
                    left.extend(&facts.reaches);
                }
            }
        }
        if let Some(obstacle) = self.chain(path) {
            reached.obstacles.insert(obstacle);
        }
        reached
    }

    /// The rules that a path leads to: above it, at it, or below it.
    fn matching<'a>(
        &'a self,
        path: &'a RulePath,
    ) -> impl Iterator<Item = (&'a RulePath, &'a RuleFacts)> {
        let above = (0..path.len()).filter_map(|steps| self.0.get_key_value(&path[..steps]));
        let below = self.0.range(path.clone()..).take_while(|(rule, _)| rule.starts_with(path));
        above.chain(below)
    }

    /// Why a rule needs itself, or more of others in a chain than the evaluator can take.
    fn chain(&self, path: &RulePath) -> Option<Obstacle> {
        let mut lengths = BTreeMap::new();
        self.longest(path, &mut BTreeSet::new(), &mut lengths, 0).err()
    }

    fn longest<'a>(
        &'a self,
        path: &'a RulePath,
        open: &mut BTreeSet<&'a RulePath>,
        lengths: &mut BTreeMap<&'a RulePath, usize>,
        depth: usize,
    ) -> Result<usize, Obstacle> {
        let mut longest = 0;
        for (rule, facts) in self.matching(path) {
            if let Some(known) = lengths.get(rule) {
                longest = longest.max(*known);
                continue;
            }
            let name = rule.join(".");
            if !open.insert(rule) {
                let message = format!("`{name}` needs itself: OPA refuses rules that do");
                return Err(Obstacle { at: facts.at.clone(), message });
            }
            let mut length = 1;
            for next in &facts.reaches {
                if depth >= MAX_CHAIN {
                    length = MAX_CHAIN;
                    break;
                }
                length = length.max(1 + self.longest(next, open, lengths, depth + 1)?);
            }
            open.remove(rule);
            if length >= MAX_CHAIN {
                let message = format!(
                    "`{name}` needs a chain of more than {MAX_CHAIN} rules: make the chain shorter"
                );
                return Err(Obstacle { at: facts.at.clone(), message });
            }
            lengths.insert(rule, length);
            longest = longest.max(length);
        }
        Ok(longest)
    }
}

impl<'a> Module<'a> {
    fn of(entry: &'a Value) -> Option<Self> {
        let tree = &entry["ast"];
        let package = path_of(&Reference::of(&tree["package"]["refr"])?);
        let imports = tree["imports"].as_array().into_iter().flatten().filter_map(|import| {
            let reference = Reference::of(&import["refr"])?;
            let steps = reference.known_steps();
            let contents = entry["source"]["contents"].as_str()?;
            let alias = text(contents, &import["as"]).or_else(|| steps.last().map(String::as_str));
            let alias = alias.unwrap_or(reference.base).to_owned();
            let is_keyword = matches!(reference.base, "future" | "rego");
            let path = std::iter::once(reference.base.to_owned()).chain(steps.clone()).collect();
            (!is_keyword).then_some((alias, path))
        });
        Some(Self {
            file: entry["source"]["file"].as_str()?.to_owned(),
            imports: imports.collect(),
            definitions: tree["rules"].as_array()?.iter().filter_map(Definition::of).collect(),
            package,
        })
    }

    fn path(&self, name: &str) -> RulePath {
        self.package.iter().cloned().chain([name.to_owned()]).collect()
    }

    fn place(&self, fields: &Value) -> Place {
        Place { file: self.file.clone(), location: location(fields).map(one_line) }
    }
}

/// The text of a span.
fn text<'a>(contents: &'a str, span: &Value) -> Option<&'a str> {
    let offset = |name: &str| usize::try_from(span[name].as_u64()?).ok();
    contents.get(offset("start")?..offset("end")?)
}

/// A rule may have many lines; its head alone is shown.
fn one_line(location: Location) -> Location {
    Location { length: location.length.min(80), ..location }
}

impl<'a> Definition<'a> {
    fn of(rule: &'a Value) -> Option<Self> {
        let (kind, fields) = node(rule)?;
        if kind == "Default" {
            let reference = Reference::of(&fields["refr"])?;
            let is_function = fields["args"].as_array().is_some_and(|args| !args.is_empty());
            let name = reference.base.to_owned();
            return Some(Self { name, fields, is_function, is_always_defined: !is_function });
        }
        let (shape, head) = node(&fields["head"])?;
        let mut reference = Reference::of(&head["refr"])?;
        let has_steps = !reference.steps.is_empty();
        let name = std::mem::take(&mut reference.base).to_owned();
        let has_body = fields["bodies"].as_array().into_iter().flatten().any(|body| {
            body["query"]["stmts"].as_array().is_some_and(|statements| !statements.is_empty())
        });
        // Partial sets are empty rather than undefined.
        let is_always_defined = match shape {
            "Set" => !has_steps,
            "Compr" => !has_steps && !has_body && is_constant(&head["assign"]["value"]),
            _ => false,
        };
        Some(Self { name, fields, is_function: shape == "Func", is_always_defined })
    }
}

/// Whether an expression is made of nothing but literals.
fn is_constant(expression: &Value) -> bool {
    let mut is_constant = !expression.is_null();
    walk(expression, &mut |kind, _| {
        is_constant &= matches!(
            kind,
            "String" | "RawString" | "Number" | "Bool" | "Null" | "Array" | "Set" | "Object"
        );
    });
    is_constant
}

fn path_of(reference: &Reference<'_>) -> RulePath {
    std::iter::once(reference.base.to_owned()).chain(reference.known_steps()).collect()
}

/// What the names of a module mean.
struct Scope<'a> {
    module: &'a Module<'a>,
    rules: &'a Rules,
}

impl Scope<'_> {
    /// The rule or the data that a reference leads to, if it leaves the rule that it stands in.
    fn target(&self, reference: &Reference<'_>) -> Option<RulePath> {
        let steps = reference.known_steps();
        if reference.base == "data" {
            return Some(steps);
        }
        if let Some(imported) = self.module.imports.get(reference.base) {
            let (first, rest) = imported.split_first()?;
            let path = rest.iter().cloned().chain(steps).collect();
            return (first == "data").then_some(path);
        }
        let path = self.module.path(reference.base);
        self.rules.0.contains_key(&path).then_some(path)
    }

    fn facts(&self, definition: &Value, knows_now: bool) -> (Reached, BTreeSet<RulePath>) {
        let mut reached = Reached::default();
        let mut needed = BTreeSet::new();
        walk(definition, &mut |kind, fields| {
            reached.calculates |= kind == "ArithExpr";
            if kind == "Call" {
                self.call(fields, knows_now, &mut reached);
            }
        });
        if reached.calculates {
            walk(definition, &mut |kind, fields| {
                let is_exact = fields["value"].as_f64().is_none_or(fractions::is_exact);
                if kind == "Number" && !is_exact {
                    self.stop(fields, fractions::REASON.to_owned(), &mut reached);
                }
            });
        }
        // The name in a rule's head is no use of the rule; what stands in its brackets is looked at.
        let head = node(&definition["head"]).map_or(definition, |(_, head)| head);
        let indexes = Reference::of(&head["refr"]).map(|name| name.indexes).unwrap_or_default();
        indexes.iter().for_each(|index| self.uses(index, &mut reached, &mut needed));
        let parts = ["key", "args", "assign", "value"].into_iter().map(|part| &head[part]);
        for part in parts.chain([&definition["bodies"]]) {
            self.uses(part, &mut reached, &mut needed);
        }
        self.negations(definition, &mut reached);
        (reached, needed)
    }

    /// Notes the rules that a part of a rule names.
    fn uses(&self, value: &Value, reached: &mut Reached, needed: &mut BTreeSet<RulePath>) {
        if let Some(reference) = Reference::of(value) {
            if let Some(target) = self.target(&reference) {
                if target.first().is_some_and(|first| first == "conftest") {
                    let message = "`data.conftest` is not known here: it names the file that \
                                   conftest reads; leave it out of the policy";
                    let fields = node(value).map_or(value, |(_, fields)| fields);
                    self.stop(fields, message.to_owned(), reached);
                }
                needed.insert(target);
            }
            return reference.indexes.iter().for_each(|index| self.uses(index, reached, needed));
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.uses(item, reached, needed)),
            Value::Object(fields) => {
                fields.values().for_each(|field| self.uses(field, reached, needed));
            }
            _ => {}
        }
    }

    fn call(&self, fields: &Value, knows_now: bool, reached: &mut Reached) {
        let Some(function) = Reference::of(&fields["fcn"]) else {
            return self.stop(fields, "this call is not understood".to_owned(), reached);
        };
        if self.is_own_function(&function) {
            return;
        }
        let name = function.dotted().unwrap_or_else(|| function.base.to_owned());
        reached.calculates |= matches!(name.as_str(), "sum" | "product");
        reached.needs_no_errors |= builtins::may_fail_alone(&name);
        if let Some(reason) = builtins::why_refused(&name, knows_now) {
            self.stop(fields, format!("`{name}` is not evaluated: {reason}"), reached);
        }
        let arguments = fields["params"].as_array().map_or(0, Vec::len);
        if name == "walk" && arguments == 1 {
            let message = "this engine does not repeat `[path, value] := walk(x)` for each value: \
                           write `walk(x, [path, value])`";
            self.stop(fields, message.to_owned(), reached);
        }
    }

    fn negations(&self, definition: &Value, reached: &mut Reached) {
        for negated in negation::all(definition) {
            let found = negation::check(negated, self);
            reached.needs_no_errors |= found.depends_on_calls;
            for operand in found.operands {
                let fields = node(operand).map_or(operand, |(_, fields)| fields);
                let what = Reference::of(operand).and_then(|reference| reference.dotted());
                let what = what.map_or("this operand".to_owned(), |name| format!("`{name}`"));
                let message = format!(
                    "OPA and this engine differ on `not` when {what} is undefined: give it a name \
                     in a line of its own before the `not` (`value := ...`), or put the call into \
                     a rule and negate that"
                );
                self.stop(fields, message, reached);
            }
        }
    }

    fn stop(&self, fields: &Value, message: String, reached: &mut Reached) {
        reached.obstacles.insert(Obstacle { at: self.module.place(fields), message });
    }
}

impl Names for Scope<'_> {
    fn variable(&self, name: &str) -> Meaning {
        if name == "input" {
            return Meaning::Defined;
        }
        if name == "data" || self.module.imports.contains_key(name) {
            return Meaning::MaybeUndefined;
        }
        match self.rules.0.get(&self.module.path(name)) {
            None => Meaning::Defined,
            Some(facts) if facts.is_function => Meaning::Function,
            Some(facts) if facts.is_always_defined => Meaning::Defined,
            Some(_) => Meaning::MaybeUndefined,
        }
    }

    fn is_own_function(&self, function: &Reference<'_>) -> bool {
        self.target(function)
            .and_then(|path| self.rules.0.get(&path))
            .is_some_and(|facts| facts.is_function)
    }
}
