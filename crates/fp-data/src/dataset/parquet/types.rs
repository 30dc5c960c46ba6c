//! Types of columns.

use std::fmt;

use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::schema::types::Type;

/// Expected type of a column's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// Text or a whole number.
    Id,
    /// A whole number.
    Number,
    /// A list of texts, or of structures with a text under this name.
    Texts(&'static str),
    /// Text, or a list of texts.
    TextOrTexts,
    /// Text, a whole number, or a list of texts.
    IdOrIds,
    /// A list of numbers.
    Numbers,
    /// A structure.
    Group,
    /// A structure with `bytes`, or bytes.
    Image,
    /// A structure with `bytes`, bytes, or a list of such structures.
    Images,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Text => f.write_str("text"),
            Kind::Id => f.write_str("text or a whole number"),
            Kind::Number => f.write_str("a whole number"),
            Kind::Texts(key) => write!(f, "a list of texts, or of structures with a text `{key}`"),
            Kind::TextOrTexts => f.write_str("text or a list of texts"),
            Kind::IdOrIds => f.write_str("text, a whole number or a list of texts"),
            Kind::Numbers => f.write_str("a list of numbers"),
            Kind::Group => f.write_str("a structure"),
            Kind::Image => f.write_str("a structure with `bytes`, or bytes"),
            Kind::Images => f.write_str("a list of structures with `bytes`, or one of them"),
        }
    }
}

/// Whether a column's cells are of a kind.
pub(super) fn fits(column: &Type, kind: Kind) -> bool {
    // A column without any value, as Arrow writes it.
    if column.get_basic_info().logical_type_ref() == Some(&LogicalType::Unknown) {
        return true;
    }
    match kind {
        Kind::Text => is_text(column),
        Kind::Id => is_text(column) || is_whole(column),
        Kind::Number => is_whole(column),
        Kind::Texts(key) => element(column).is_some_and(|element| {
            let fields = if element.is_primitive() {
                &[]
            } else {
                element.get_fields()
            };
            let is_structure = fields.iter().any(|f| f.name() == key && is_text(f));
            fits(element, Kind::Text) || is_structure
        }),
        Kind::TextOrTexts => is_text(column) || fits(column, Kind::Texts("name")),
        Kind::IdOrIds => fits(column, Kind::Id) || fits(column, Kind::Texts("id")),
        Kind::Numbers => element(column).is_some_and(|element| {
            let is_real = element.is_primitive()
                && matches!(
                    element.get_physical_type(),
                    Physical::FLOAT | Physical::DOUBLE
                );
            is_real || fits(element, Kind::Number)
        }),
        Kind::Group => !column.is_primitive(),
        Kind::Image if column.is_primitive() => column.get_physical_type() == Physical::BYTE_ARRAY,
        Kind::Image => column.get_fields().iter().any(|f| f.name() == "bytes"),
        Kind::Images => {
            let is_list = element(column).is_some_and(|element| fits(element, Kind::Image));
            is_list || fits(column, Kind::Image)
        }
    }
}

fn is_text(column: &Type) -> bool {
    let info = column.get_basic_info();
    column.is_primitive()
        && column.get_physical_type() == Physical::BYTE_ARRAY
        && (info.converted_type() == ConvertedType::UTF8
            || info.logical_type_ref() == Some(&LogicalType::String))
}

fn is_whole(column: &Type) -> bool {
    let info = column.get_basic_info();
    column.is_primitive()
        && matches!(
            column.get_physical_type(),
            Physical::INT32 | Physical::INT64
        )
        && matches!(
            info.logical_type_ref(),
            None | Some(LogicalType::Integer { .. })
        )
}

/// The type of a list's elements.
fn element(column: &Type) -> Option<&Type> {
    if column.is_primitive() {
        return None;
    }
    let [repeated] = column.get_fields() else {
        return None;
    };
    if repeated.is_primitive() {
        return Some(repeated);
    }
    match repeated.get_fields() {
        [element] => Some(element),
        _ => Some(repeated),
    }
}

/// A column's type, in words.
pub(super) fn describe(column: &Type) -> String {
    let info = column.get_basic_info();
    if is_text(column) {
        return "text".to_owned();
    }
    if column.is_primitive() {
        let physical = column.get_physical_type().to_string();
        return match info.converted_type() {
            ConvertedType::NONE => physical,
            converted => format!("{physical} ({converted})"),
        };
    }
    let is_list = info.converted_type() == ConvertedType::LIST
        || info.logical_type_ref() == Some(&LogicalType::List);
    match element(column).filter(|_| is_list) {
        Some(element) => format!("a list of {}", describe(element)),
        None => {
            let names: Vec<&str> = column.get_fields().iter().map(|f| f.name()).collect();
            format!("a structure of {}", names.join(", "))
        }
    }
}
