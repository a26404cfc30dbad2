//! Numbers in texts, as Java reads them: what a property must look like to be compared with a number.

use std::cmp::Ordering;

/// A number, in the width that decides how a text beside it is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Int(i32),
    Long(i64),
    Double(f64),
}

impl Number {
    /// The same width, the other sign.
    pub(super) const fn negated(self) -> Self {
        match self {
            // No literal is the lowest of its width: a literal has no sign.
            Self::Int(value) => Self::Int(value.wrapping_neg()),
            Self::Long(value) => Self::Long(value.wrapping_neg()),
            Self::Double(value) => Self::Double(-value),
        }
    }

    /// Reads a text in the width of this number.
    pub(super) fn read_alike(self, text: &str) -> Option<Self> {
        match self {
            Self::Int(_) => integer(text)?.try_into().ok().map(Self::Int),
            Self::Long(_) => integer(text).map(Self::Long),
            Self::Double(_) => double(text).map(Self::Double),
        }
    }

    /// Whole numbers as such; with a double among them, both as doubles, in a total order.
    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self.whole(), other.whole()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => order(self.real(), other.real()),
        }
    }

    fn whole(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value.into()),
            Self::Long(value) => Some(value),
            Self::Double(_) => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "Java rounds the same way")]
    fn real(self) -> f64 {
        match self {
            Self::Int(value) => value.into(),
            Self::Long(value) => value as f64,
            Self::Double(value) => value,
        }
    }
}

/// Java's `Double.compareTo`: -0.0 before 0.0, every NaN the same and above infinity.
pub(super) fn order(left: f64, right: f64) -> Ordering {
    let one_nan = |value: f64| if value.is_nan() { f64::NAN.abs() } else { value };
    one_nan(left).total_cmp(&one_nan(right))
}

/// An optional sign and decimal digits of any script.
pub(super) fn integer(text: &str) -> Option<i64> {
    if text.is_ascii() {
        return text.parse().ok();
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // Not empty: it is not ASCII. Downwards, because there is one number more below zero.
    let below = digits
        .chars()
        .try_fold(0_i64, |value, c| value.checked_mul(10)?.checked_sub(digit(c)?.into()))?;
    if negative { Some(below) } else { below.checked_neg() }
}

/// The digits 0 of the scripts in Unicode's basic plane that have decimal digits.
const ZEROS: [u32; 37] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6,
    0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80,
    0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
    0xFF10,
];

fn digit(c: char) -> Option<u8> {
    let code = u32::from(c);
    let above = ZEROS.partition_point(|zero| *zero <= code);
    let zero = ZEROS.get(above.checked_sub(1)?)?;
    u8::try_from(code - zero).ok().filter(|value| *value < 10)
}

/// What Java's `Double.valueOf` takes: blanks around, `NaN`, `Infinity`, decimal and hexadecimal numbers, a suffix of a type.
pub(super) fn double(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c| c <= ' ');
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        _ => {
            let number = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
            match number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
                Some(hex) => hexadecimal(hex)?,
                None => decimal(number)?,
            }
        }
    };
    Some(if negative { -value } else { value })
}

/// Digits with an optional dot and exponent, no sign.
pub(super) fn decimal(text: &str) -> Option<f64> {
    // Without these, Rust would take a second sign and the words for infinity and not-a-number.
    text.starts_with(|c: char| c.is_ascii_digit() || c == '.').then(|| text.parse().ok())?
}

/// `1.8p3`: hexadecimal digits with an optional dot, and an exponent of two. Rounded to even.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut mantissa = 0_u64;
    // Of the mantissa's last bit, before the exponent that is written.
    let mut scale = 0_i64;
    for (c, shift) in whole.chars().map(|c| (c, 0)).chain(fraction.chars().map(|c| (c, -4))) {
        let digit = u64::from(c.to_digit(16)?);
        scale += shift;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            scale += 4;
            // Far below the bits that count: only whether anything is there matters.
            mantissa |= u64::from(digit != 0);
        }
    }
    let written = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if written.is_empty() || !written.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Too long for a number: beyond all that a double has, in either direction.
    let written = written.parse::<i64>().map_or(1 << 40, |value| value.min(1 << 40));
    scale += if exponent.starts_with('-') { -written } else { written };
    Some(scaled(mantissa, scale))
}

/// `mantissa * 2^scale`, rounded to even.
fn scaled(mantissa: u64, scale: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let zeros = mantissa.leading_zeros();
    let (mantissa, scale) = (mantissa << zeros, scale - i64::from(zeros));
    let leading = scale + 63;
    if leading > 1023 {
        return f64::INFINITY;
    }
    // Fewer bits are kept below the smallest normal number.
    let kept = 53 - (-1022 - leading).max(0);
    let Ok(dropped) = u32::try_from(64 - kept.max(-1)) else { return 0.0 };
    if dropped > 64 {
        return 0.0;
    }
    let wide = u128::from(mantissa);
    let (mut bits, rest) = (wide >> dropped, wide & ((1 << dropped) - 1));
    let half = 1_u128 << (dropped - 1);
    if rest > half || (rest == half && bits & 1 == 1) {
        bits += 1;
    }
    // At most 2^53 times a power of two that has such a double: exact, or infinity.
    let bits = u64::try_from(bits).unwrap_or(u64::MAX);
    Number::Long(i64::try_from(bits).unwrap_or(i64::MAX)).real() * power(scale + i64::from(dropped))
}

/// A power of two, from the smallest double to the largest.
fn power(exponent: i64) -> f64 {
    let bits = match exponent {
        -1022..=1023 => u64::try_from(exponent + 1023).unwrap_or(0) << 52,
        -1074..=-1023 => 1 << u32::try_from(exponent + 1074).unwrap_or(0),
        _ => 0,
    };
    f64::from_bits(bits)
}
