//! `sprintf` as OPA evaluates it, which is Go's: too few arguments, too many, and arguments of the
//! wrong type are written into the text and are no errors.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use anyhow::bail;
use regorus::Value;

/// The widest field: wider ones could use up the memory.
const MAX_WIDTH: usize = 1_000;

/// The longest text.
const MAX_BYTES: usize = 1024 * 1024;

/// An argument as Go sees it.
enum Argument {
    Whole(i128),
    Real(f64),
    Text(String),
}

/// What stands between `%` and the letter.
#[derive(Default)]
struct Layout {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Writes a text by a format and an array of arguments; undefined when they are neither.
pub(super) fn call(given: &[Value]) -> anyhow::Result<Value> {
    let (Some(Value::String(format)), Some(Value::Array(arguments))) =
        (given.first(), given.get(1))
    else {
        bail!("sprintf takes a text and an array");
    };
    let arguments = arguments.iter().map(argument).collect::<anyhow::Result<Vec<Argument>>>()?;
    Ok(Value::from(write(format, &arguments)?))
}

fn argument(value: &Value) -> anyhow::Result<Argument> {
    Ok(match value {
        Value::String(text) => Argument::Text(text.to_string()),
        Value::Number(_) => match (value.as_i128(), value.as_f64()) {
            (Ok(whole), _) => Argument::Whole(whole),
            (Err(_), Ok(real)) if value.to_string().contains(['.', 'e', 'E']) => {
                Argument::Real(real)
            }
            _ => bail!("sprintf: a number of this size is not written here"),
        },
        other => Argument::Text(term(other)?),
    })
}

/// A value as a policy would write it.
fn term(value: &Value) -> anyhow::Result<String> {
    let list = |items: &mut dyn Iterator<Item = &Value>| -> anyhow::Result<String> {
        Ok(items.map(term).collect::<anyhow::Result<Vec<String>>>()?.join(", "))
    };
    Ok(match value {
        Value::Array(items) => format!("[{}]", list(&mut items.iter())?),
        Value::Set(items) if items.is_empty() => "set()".to_owned(),
        Value::Set(items) => format!("{{{}}}", list(&mut items.iter_sorted())?),
        Value::Object(fields) => {
            let field = |(key, value)| Ok(format!("{}: {}", term(key)?, term(value)?));
            let fields: anyhow::Result<Vec<String>> = fields.iter_sorted().map(field).collect();
            format!("{{{}}}", fields?.join(", "))
        }
        Value::String(text) => quoted(text)?,
        other => other.to_string(),
    })
}

/// A text in Go's quotes.
fn quoted(text: &str) -> anyhow::Result<String> {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_ascii_control() => {
                bail!("sprintf: control characters are not quoted")
            }
            letter if letter.is_ascii() || letter.is_alphanumeric() => quoted.push(letter),
            _ => bail!("sprintf: `{letter}` is not quoted here"),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

fn write(format: &str, arguments: &[Argument]) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut left = arguments.iter();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let layout = layout(&mut letters)?;
        match letters.next() {
            None => text.push_str("%!(NOVERB)"),
            Some('%') => text.push('%'),
            Some(verb) => match left.next() {
                None => write!(text, "%!{verb}(MISSING)")?,
                Some(argument) => text.push_str(&one(verb, &layout, argument)?),
            },
        }
        if text.len() > MAX_BYTES {
            bail!("stopped: sprintf writes more than {MAX_BYTES} bytes");
        }
    }
    let extra: Vec<String> = left.map(typed).collect();
    if !extra.is_empty() {
        write!(text, "%!(EXTRA {})", extra.join(", "))?;
    }
    Ok(text)
}

fn layout(letters: &mut Peekable<Chars<'_>>) -> anyhow::Result<Layout> {
    let mut layout = Layout::default();
    while let Some(flag) = letters.peek() {
        match flag {
            '-' => layout.minus = true,
            '+' => layout.plus = true,
            '#' => layout.sharp = true,
            ' ' => layout.space = true,
            '0' => layout.zero = true,
            _ => break,
        }
        letters.next();
    }
    layout.width = number(letters)?;
    if letters.next_if_eq(&'.').is_some() {
        layout.precision = Some(number(letters)?.unwrap_or(0));
    }
    if let Some(other @ ('*' | '[')) = letters.peek() {
        bail!("sprintf: `{other}` in a format is not supported here");
    }
    Ok(layout)
}

fn number(letters: &mut Peekable<Chars<'_>>) -> anyhow::Result<Option<usize>> {
    let mut number = None;
    while let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(10)) {
        letters.next();
        number = Some(number.unwrap_or(0) * 10 + usize::try_from(digit)?);
        if number > Some(MAX_WIDTH) {
            bail!("stopped: sprintf writes a field wider than {MAX_WIDTH}");
        }
    }
    Ok(number)
}

/// The name of an argument's type in Go, and the argument.
fn typed(argument: &Argument) -> String {
    match argument {
        Argument::Whole(whole) if i64::try_from(*whole).is_ok() => format!("int64={whole}"),
        Argument::Whole(whole) => format!("*big.Int={whole}"),
        Argument::Real(real) => format!("float64={}", shortest(*real)),
        Argument::Text(text) => format!("string={text}"),
    }
}

fn one(verb: char, layout: &Layout, argument: &Argument) -> anyhow::Result<String> {
    let body = match (verb, argument) {
        ('s' | 'v', Argument::Text(_)) if layout.sharp || layout.zero => {
            bail!("sprintf: this form of %{verb} is not supported here")
        }
        ('s' | 'v', Argument::Text(text)) => truncated(text, layout),
        ('q', Argument::Text(text)) if !layout.sharp && !layout.plus => {
            quoted(&truncated(text, layout))?
        }
        ('d' | 'v', Argument::Whole(whole)) if layout.precision.is_none() && !layout.sharp => {
            return Ok(padded_number(
                &signed(*whole, whole.unsigned_abs().to_string(), layout),
                layout,
            ));
        }
        ('x' | 'X' | 'o' | 'b', Argument::Whole(whole))
            if layout.precision.is_none() && !layout.sharp =>
        {
            let digits = whole.unsigned_abs();
            let digits = match verb {
                'x' => format!("{digits:x}"),
                'X' => format!("{digits:X}"),
                'o' => format!("{digits:o}"),
                _ => format!("{digits:b}"),
            };
            return Ok(padded_number(&signed(*whole, digits, layout), layout));
        }
        ('f' | 'F', Argument::Real(real)) if !layout.sharp => {
            let digits = format!("{:.*}", layout.precision.unwrap_or(6), real.abs());
            let sign = if *real < 0.0 { -1 } else { 1 };
            return Ok(padded_number(&signed(sign, digits, layout), layout));
        }
        ('v', Argument::Real(real))
            if layout.precision.is_none() && !layout.sharp && !layout.plus =>
        {
            return Ok(padded_number(&shortest(*real), layout));
        }
        // A precision of one digit changes nothing of a whole number.
        ('s' | 't' | 'f' | 'F' | 'e' | 'g', Argument::Whole(_))
            if layout.width.is_none() && layout.precision.is_none_or(|digits| digits == 1) =>
        {
            format!("%!{verb}({})", typed(argument))
        }
        ('d' | 't' | 'f' | 'F' | 'e' | 'g' | 'c', Argument::Text(_))
        | ('s' | 'd' | 't' | 'c' | 'q', Argument::Real(_))
            if layout.width.is_none() && layout.precision.is_none() =>
        {
            format!("%!{verb}({})", typed(argument))
        }
        _ => bail!("sprintf: this form of %{verb} is not supported here"),
    };
    Ok(padded(&body, layout))
}

/// A number in the fewest digits that tell it from every other, as Go's `%v` writes it.
fn shortest(real: f64) -> String {
    let plain = format!("{real}");
    let size = real.abs();
    if real == 0.0 || (1e-4..1e21).contains(&size) {
        return plain;
    }
    let written = format!("{real:e}");
    let Some((digits, exponent)) = written.split_once('e') else { return written };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

fn signed(of: i128, digits: String, layout: &Layout) -> String {
    match (of < 0, layout.plus, layout.space) {
        (true, ..) => format!("-{digits}"),
        (false, true, _) => format!("+{digits}"),
        (false, false, true) => format!(" {digits}"),
        (false, false, false) => digits,
    }
}

fn truncated(text: &str, layout: &Layout) -> String {
    layout.precision.map_or_else(|| text.to_owned(), |most| text.chars().take(most).collect())
}

fn padded(text: &str, layout: &Layout) -> String {
    let width = layout.width.unwrap_or(0);
    if layout.minus { format!("{text:<width$}") } else { format!("{text:>width$}") }
}

/// Zeros stand between the sign and the digits.
fn padded_number(text: &str, layout: &Layout) -> String {
    if !layout.zero || layout.minus {
        return padded(text, layout);
    }
    let digits = text.trim_start_matches(['+', '-', ' ']);
    let sign = &text[..text.len() - digits.len()];
    let width = layout.width.unwrap_or(0).saturating_sub(sign.len());
    format!("{sign}{digits:0>width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: &str, arguments: &str) -> String {
        let arguments = Value::from_json_str(arguments).unwrap();
        call(&[Value::from(format), arguments]).unwrap().as_string().unwrap().to_string()
    }

    #[test]
    fn is_written_as_go_does() {
        assert_eq!(text("%s has %d of %v", r#"["a", 3, null]"#), "a has 3 of null");
        assert_eq!(text("%v", r#"[["a", {"b": [1, true]}]]"#), r#"["a", {"b": [1, true]}]"#);
        assert_eq!(
            text("%05d|%-4d|%+d|%4s|%-4s|%.2s", r#"[-42, 7, 7, "a", "b", "xyz"]"#),
            "-0042|7   |+7|   a|b   |xy"
        );
        assert_eq!(text("%.2f %v %v", "[1.005, 2.50, 0.00001]"), "1.00 2.5 1e-05");
        assert_eq!(text("%q %x 100%%", r#"["a\"b", 255]"#), r#""a\"b" ff 100%"#);
    }

    #[test]
    fn mistakes_are_written_into_the_text() {
        assert_eq!(text("%s and %s", r#"["a"]"#), "a and %!s(MISSING)");
        assert_eq!(text("%s", r#"["a", "b", 1]"#), "a%!(EXTRA string=b, int64=1)");
        assert_eq!(text("%d %s", r#"["a", 1]"#), "%!d(string=a) %!s(int64=1)");
        assert_eq!(text("%", "[]"), "%!(NOVERB)");
    }

    #[test]
    fn what_is_not_known_or_too_large_is_an_error() {
        for format in ["%*d", "%U", "%1000000d", "%#v"] {
            let arguments = Value::from_json_str("[1]").unwrap();
            assert!(call(&[Value::from(format), arguments]).is_err(), "{format}");
        }
    }
}
