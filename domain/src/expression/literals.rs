//! Numbers and strings as they are written: ints in ten or sixteen digits, doubles, every escape of the language.
//! Always holds: what an escape stands for is one code point. Absent: signs, which are operators.

use super::lexer::Token;

/// The number that a text begins with, and its length.
pub(super) fn number(text: &str) -> Result<(Token, usize), String> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (token, length) = if let Some(hexadecimal) = text.strip_prefix("0x") {
        let length = hexadecimal.bytes().take_while(u8::is_ascii_hexdigit).count();
        (int(&hexadecimal[..length], 16), 2 + length)
    } else {
        let whole = digits(text);
        let fraction = match text[whole..].strip_prefix('.') {
            Some(rest) if digits(rest) > 0 => 1 + digits(rest),
            Some(_) | None => 0,
        };
        let exponent = exponent_length(&text[whole + fraction..]);
        let length = whole + fraction + exponent;
        if fraction + exponent == 0 {
            (int(&text[..length], 10), length)
        } else {
            let double = text[..length].parse::<f64>().ok().filter(|double| double.is_finite());
            let double =
                double.ok_or_else(|| "the number is beyond the range of doubles".to_owned());
            (double.map(Token::Double), length)
        }
    };
    match text[length..].chars().next() {
        Some('u' | 'U') => {
            Err("uint is no part of the language; write an int, without the u".to_owned())
        }
        Some(c) if c.is_ascii_alphanumeric() || c == '_' => {
            Err(format!("a number ends before {c:?}; a name does not begin with a digit"))
        }
        Some(_) | None => token.map(|token| (token, length)),
    }
}

fn int(digits: &str, radix: u32) -> Result<Token, String> {
    // One more than the greatest int is the smallest one without its sign.
    let magnitude = u64::from_str_radix(digits, radix).ok().filter(|int| *int <= 1 << 63);
    magnitude.map(Token::Int).ok_or_else(|| "the number is no int of 64 bits".to_owned())
}

fn exponent_length(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(['e', 'E']) else { return 0 };
    let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 { 0 } else { text.len() - unsigned.len() + digits }
}

/// Where the closing quote stands. In a raw string a backslash is a character like others.
pub(super) fn end_of_text(inside: &str, quote: &str, raw: bool) -> Option<usize> {
    let mut at = 0;
    while at < inside.len() {
        let rest = &inside.as_bytes()[at..];
        if rest.starts_with(quote.as_bytes()) {
            return Some(at);
        }
        at += if rest[0] == b'\\' && !raw { 2 } else { 1 };
    }
    None
}

/// The text of a string whose escapes are read. An error has its place in bytes.
pub(super) fn unescaped(content: &str) -> Result<String, (usize, &'static str)> {
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(place) = rest.find('\\') {
        text.push_str(&rest[..place]);
        let at = content.len() - rest.len() + place;
        let (c, length) = escape(&rest[place + 1..]).ok_or((
            at,
            "not an escape; there is \\\\ \\' \\\" \\` \\? \\a \\b \\f \\n \\r \\t \\v, \\x with 2, \\u with 4, \\U with 8 \
             hexadecimal digits of a code point, and 3 octal digits to \\377",
        ))?;
        text.push(c);
        rest = &rest[place + 1 + length..];
    }
    text.push_str(rest);
    Ok(text)
}

/// The character of an escape without its backslash, and the escape's length.
fn escape(text: &str) -> Option<(char, usize)> {
    let code = |from: usize, digits: usize, radix: u32| {
        let digits = text.get(from..from + digits)?;
        let is_digits = digits.bytes().all(|byte| char::from(byte).is_digit(radix));
        let code = u32::from_str_radix(digits, radix).ok().filter(|_| is_digits)?;
        Some((char::from_u32(code)?, from + digits.len()))
    };
    let plain = |c: char| Some((c, 1));
    match text.chars().next()? {
        c @ ('\\' | '?' | '"' | '\'' | '`') => plain(c),
        'a' => plain('\x07'),
        'b' => plain('\x08'),
        'f' => plain('\x0C'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'v' => plain('\x0B'),
        'x' | 'X' => code(1, 2, 16),
        'u' => code(1, 4, 16),
        'U' => code(1, 8, 16),
        '0'..='3' => code(0, 3, 8),
        _ => None,
    }
}
