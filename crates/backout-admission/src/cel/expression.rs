//! Expressions, read and checked.

use std::fmt;
use std::sync::Arc;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::{DeclarationError, Env};

use super::check::{self, Reason};
use super::{Declarations, Limits, Uses, depth, library, meter};

/// The language with its libraries.
#[derive(Clone)]
pub struct Environment {
    pub(super) env: Arc<Env>,
    pub(super) limits: Limits,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// An expression that can be evaluated.
#[derive(Clone, Debug)]
pub struct Expression {
    pub(super) tree: IdedExpr,
    /// What it uses.
    pub uses: Uses,
}

/// Why an expression cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whether Kubernetes would refuse it too; otherwise Backout does not know how to evaluate it.
    pub is_invalid: bool,
    /// What is wrong, without a full stop.
    pub message: String,
    /// Line and column in the expression, counted from one, when they are known.
    pub position: Option<(usize, usize)>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.position {
            Some((line, column)) if line > 1 => {
                write!(f, " (line {line}, column {column} of the expression)")
            }
            Some((_, column)) => write!(f, " (column {column} of the expression)"),
            None => Ok(()),
        }
    }
}

impl Environment {
    /// Makes the language with every library.
    ///
    /// # Errors
    /// When two libraries declare the same function, which a test rules out.
    pub fn new(limits: Limits) -> Result<Self, DeclarationError> {
        let mut env = Env::stdlib();
        library::register(&mut env)?;
        meter::register(&mut env)?;
        Ok(Self { env: Arc::new(env), limits })
    }

    /// Reads an expression.
    ///
    /// # Errors
    /// When it cannot be read, names what is not declared, or uses what cannot be evaluated here.
    pub fn compile(&self, text: &str, declarations: &Declarations) -> Result<Expression, Refused> {
        if text.len() > self.limits.max_bytes {
            return Err(refused(format!("it is longer than {} bytes", self.limits.max_bytes)));
        }
        if depth::bound(text) > depth::MAX_DEPTH {
            return Err(refused("it is nested too deeply".to_owned()));
        }
        depth::with_stack(|| self.parse(text, declarations))
    }

    fn parse(&self, text: &str, declarations: &Declarations) -> Result<Expression, Refused> {
        let (mut tree, source) =
            self.env.parser().parse_with_source_info(text).map_err(|errors| {
                let first = errors.errors.first();
                let message = first.map_or_else(String::new, |error| error.msg.clone());
                let position = first.and_then(|error| {
                    Some((usize::try_from(error.pos.0).ok()?, usize::try_from(error.pos.1).ok()?))
                });
                let position = position.filter(|(line, _)| *line > 0);
                Refused {
                    is_invalid: true,
                    message: format!("it cannot be read: {}", shortened(&message)),
                    position,
                }
            })?;
        let uses = check::check(&tree, declarations).map_err(|refusal| {
            let (is_invalid, message) = match refusal.reason {
                Reason::Invalid(message) => (true, message),
                Reason::Unsupported(message) => (false, message),
            };
            Refused { is_invalid, message, position: position(&source, refusal.node) }
        })?;
        meter::insert(&mut tree);
        Ok(Expression { tree, uses })
    }
}

fn refused(message: String) -> Refused {
    Refused { is_invalid: false, message, position: None }
}

/// The first line of a message, and not more of it than fits on a screen.
pub(super) fn shortened(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    if line.chars().count() <= 300 {
        return line.to_owned();
    }
    line.chars().take(300).chain("...".chars()).collect()
}

fn position(source: &SourceInfo, node: u64) -> Option<(usize, usize)> {
    let (start, _) = source.offset_for(node)?;
    let before = source.source.get(..usize::try_from(start).ok()?)?;
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((line, column))
}
