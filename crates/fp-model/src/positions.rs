//! Where tokens stand, for the rotary embedding: on a line, or an image's tokens on a grid.

use fp_scoring::TokenLayout;

/// One token's position id: three axes, which are one for text and in plain decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The axis of time, the only one of plain decoders.
    pub time: usize,
    /// The axis of rows.
    pub row: usize,
    /// The axis of columns.
    pub column: usize,
}

impl Position {
    /// The same on all axes.
    pub(crate) fn line(at: usize) -> Position {
        Position {
            time: at,
            row: at,
            column: at,
        }
    }

    /// Whether it is the same on all axes.
    #[cfg(feature = "cuda")]
    pub(crate) fn is_on_line(self) -> bool {
        self == Position::line(self.time)
    }
}

/// How a sequence is numbered, nothing dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Numbering {
    /// 0..S.
    #[default]
    Line,
    /// The image's tokens stand on `[columns, rows]` of a grid behind the system's, all at one
    /// time; the text continues behind the grid's longer side. Qwen2-VL's M-RoPE
    /// (`get_rope_index` of its implementation in transformers).
    Grid([usize; 2]),
}

impl Numbering {
    /// Where the image token `place` of all stands.
    pub(crate) fn image(self, num_system: usize, place: usize) -> Position {
        match self {
            Numbering::Line => Position::line(num_system + place),
            Numbering::Grid([columns, _]) => Position {
                time: num_system,
                row: num_system + place / columns.max(1),
                column: num_system + place % columns.max(1),
            },
        }
    }

    /// Where the text behind an image of so many tokens begins.
    pub(crate) fn text(self, num_system: usize, num_image_tokens: usize) -> usize {
        num_system
            + match self {
                Numbering::Line => num_image_tokens,
                Numbering::Grid([columns, rows]) => columns.max(rows),
            }
    }

    /// Positions of a sequence of which nothing is dropped.
    pub(crate) fn whole(self, layout: &TokenLayout) -> Vec<Position> {
        let places: Vec<usize> = (0..layout.num_image).collect();
        self.kept(layout, &places, layout.num_image)
    }

    /// Positions of a sequence in which of `num_image_tokens` image tokens the `places` are left:
    /// everything stands where it stood.
    pub(crate) fn kept(
        self,
        layout: &TokenLayout,
        places: &[usize],
        num_image_tokens: usize,
    ) -> Vec<Position> {
        let text = self.text(layout.num_system, num_image_tokens);
        let system = (0..layout.num_system).map(Position::line);
        let image = places
            .iter()
            .map(|&place| self.image(layout.num_system, place));
        let text = (text..text + layout.num_text).map(Position::line);
        system.chain(image).chain(text).collect()
    }

    /// Where the token behind a sequence stands, whatever was dropped of its image.
    pub(crate) fn next(self, layout: &TokenLayout, num_image_tokens: usize) -> usize {
        self.text(layout.num_system, num_image_tokens) + layout.num_text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_stands_behind_the_system_and_text_behind_its_longer_side() {
        let layout = TokenLayout {
            num_system: 2,
            num_image: 6,
            num_text: 2,
        };
        // Three columns, two rows.
        let grid = Numbering::Grid([3, 2]);
        let whole: Vec<[usize; 3]> = grid
            .whole(&layout)
            .iter()
            .map(|at| [at.time, at.row, at.column])
            .collect();
        let expected = [
            [0, 0, 0],
            [1, 1, 1],
            [2, 2, 2],
            [2, 2, 3],
            [2, 2, 4],
            [2, 3, 2],
            [2, 3, 3],
            [2, 3, 4],
            [5, 5, 5],
            [6, 6, 6],
        ];
        assert_eq!(whole, expected);
        assert_eq!(grid.next(&layout, 6), 7);
        let left = TokenLayout {
            num_image: 2,
            ..layout
        };
        let kept = grid.kept(&left, &[1, 5], 6);
        assert_eq!(kept[2..4], [grid.image(2, 1), grid.image(2, 5)]);
        assert_eq!(kept[4], Position::line(5));
        assert_eq!(Numbering::Line.next(&left, 6), 10);
        assert_eq!(
            Numbering::Line.kept(&left, &[1, 5], 6)[3],
            Position::line(7)
        );
    }
}
