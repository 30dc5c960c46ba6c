//! Tables, readable without scripts. The script makes them sortable, filterable and downloadable
//! from each cell's attributes.

use fp_eval::format::percent;
use maud::{Markup, Render, html};

/// Number of rows from which a table scrolls in a box of its own, below its header.
const LONG: usize = 24;

/// A table that scrolls horizontally where it is wider than the page. Columns without any content
/// are omitted.
#[derive(Debug)]
pub(super) struct Table {
    label: String,
    class: &'static str,
    columns: Vec<String>,
    rows: Vec<Vec<Field>>,
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    /// The header of a row.
    Head(String),
    /// Text.
    Text(String),
    /// A number, aligned with those above and below.
    Number(String),
    /// A number with its exact value.
    Figure(Figure),
    /// An empty cell.
    Empty,
}

/// A number as displayed, and its exact value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    text: String,
    /// Value for sorting and downloads, in the unit of the text.
    value: f64,
    /// Shade from 0 to 1.
    shade: Option<f64>,
}

impl Field {
    /// A number as displayed, and its exact value in the same unit.
    pub(super) fn exact(text: impl Into<String>, value: f64) -> Field {
        Field::Figure(Figure {
            text: text.into(),
            value,
            shade: None,
        })
    }

    /// A count.
    pub(super) fn count(count: usize) -> Field {
        Field::exact(count.to_string(), count as f64)
    }

    /// A share from 0 to 1, in percent.
    pub(super) fn percent(share: f64) -> Field {
        Field::exact(percent(share), 100.0 * share)
    }

    /// The field of a value, or a dash for `None`.
    pub(super) fn or_dash<T>(value: Option<T>, field: impl FnOnce(T) -> Field) -> Field {
        value.map_or_else(|| Field::Number("–".to_owned()), field)
    }

    /// The field with a shade from 0 to 1, if it is a figure.
    pub(super) fn shaded(self, shade: f64) -> Field {
        match self {
            Field::Figure(figure) => Field::Figure(Figure {
                shade: Some(shade),
                ..figure
            }),
            other => other,
        }
    }

    /// The field with a mark after its text, if it is a figure.
    pub(super) fn marked(self, mark: &str) -> Field {
        match self {
            Field::Figure(figure) => Field::Figure(Figure {
                text: figure.text + mark,
                ..figure
            }),
            other => other,
        }
    }

    fn is_figure(&self) -> bool {
        matches!(self, Field::Number(_) | Field::Figure(_))
    }
}

impl Render for Field {
    fn render(&self) -> Markup {
        html! {
            @match self {
                Field::Head(text) => th scope="row" { (text) },
                Field::Text(text) => td { (text) },
                Field::Number(text) => td.n { (text) },
                Field::Figure(figure) => (figure),
                Field::Empty => td {},
            }
        }
    }
}

impl Render for Figure {
    fn render(&self) -> Markup {
        let shade = self.shade.map(|shade| 100.0 * shade.clamp(0.0, 1.0));
        let style = shade.map(|shade| format!("--v:{shade:.0}%"));
        let value = self.value.is_finite().then(|| plain(self.value));
        html! {
            td.n.s[style.is_some()] style=[&style] data-v=[value] { (self.text) }
        }
    }
}

/// To twelve digits: as many as means and tests are accurate to, without the rounding error of a
/// multiplication by 100.
fn plain(value: f64) -> String {
    let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    format!("{rounded}")
}

impl Table {
    /// `label` is what screen readers announce and the name of a download.
    pub(super) fn new(label: &str, class: &'static str, columns: &[&str]) -> Table {
        Table {
            label: label.to_owned(),
            class,
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, fields: impl IntoIterator<Item = Field>) {
        self.rows.push(fields.into_iter().collect());
    }

    fn has_figures(&self, column: usize) -> bool {
        let mut rows = self.rows.iter();
        rows.any(|row| row.get(column).is_some_and(Field::is_figure))
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|&column| self.rows.iter().any(|row| is_there(row, column)))
            .collect();
        let is_long = self.rows.len() >= LONG;
        html! {
            div.table {
                div.scroll.long[is_long] role="region" aria-label=(self.label) tabindex="0" {
                    table class=(self.class) {
                        caption.ear { (self.label) }
                        thead {
                            tr {
                                @for &column in &shown {
                                    @let class = self.has_figures(column).then_some("n");
                                    th class=[class] scope="col" { (self.columns[column]) }
                                }
                            }
                        }
                        tbody {
                            @for row in &self.rows {
                                tr {
                                    @for &column in &shown {
                                        (row.get(column).unwrap_or(&Field::Empty))
                                    }
                                }
                                "\n"
                            }
                        }
                    }
                }
            }
            "\n"
        }
    }
}

fn is_there(row: &[Field], column: usize) -> bool {
    row.get(column).is_some_and(|field| *field != Field::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        let mut table = Table::new("a\"b", "", &["<x>", "y"]);
        table.row([
            Field::Text("</td><script>".to_owned()),
            Field::exact("<script>", 1.0),
        ]);
        let text = table.render().into_string();
        assert!(!text.contains("<script>") && !text.contains("<x>"));
        assert!(text.contains("a&quot;b"));
    }

    #[test]
    fn empty_columns_are_left_out() {
        let mut table = Table::new("t", "", &["a", "b", "c"]);
        table.row([
            Field::Head("1".into()),
            Field::Empty,
            Field::Number("2".into()),
        ]);
        table.row([Field::Head("3".into())]);
        let text = table.render().into_string();
        assert!(!text.contains(">b<") && text.contains("<th class=\"n\" scope=\"col\">c</th>"));
        assert_eq!(text.matches("<td></td>").count(), 1);
    }

    #[test]
    fn figures_are_there_in_full() {
        let mut table = Table::new("t", "", &["a", "b", "c", "d"]);
        table.row([
            Field::percent(1.0 / 3.0),
            Field::percent(0.1).shaded(0.5).marked(" ▲"),
            Field::exact("none", f64::NAN),
            Field::or_dash(None, Field::percent),
        ]);
        let text = table.render().into_string();
        assert!(
            text.contains("<td class=\"n\" data-v=\"33.3333333333\">33.3</td>"),
            "{text}"
        );
        assert!(
            text.contains("<td class=\"n s\" style=\"--v:50%\" data-v=\"10\">10.0 ▲</td>"),
            "{text}"
        );
        assert!(
            text.contains("<td class=\"n\">none</td><td class=\"n\">–</td>"),
            "{text}"
        );
    }
}
