//! Token positions for the rotary embedding: on a line, or on a grid for an image's tokens.

use fp_scoring::TokenLayout;

/// One token's position id on three axes, which are equal for text and in plain decoders.
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
    /// A position that is equal on all axes.
    pub(crate) fn line(at: usize) -> Position {
        Position {
            time: at,
            row: at,
            column: at,
        }
    }

    /// Whether the position is equal on all axes.
    #[cfg(feature = "cuda")]
    pub(crate) fn is_on_line(self) -> bool {
        self == Position::line(self.time)
    }
}

/// How positions are numbered in a sequence with nothing dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Numbering {
    /// 0..S.
    #[default]
    Line,
    /// The image's tokens are on a grid of `[columns, rows]` after the system's, all at the same
    /// time; the text continues after the grid's longer side. This is Qwen2-VL's M-RoPE
    /// (`get_rope_index` of its implementation in transformers).
    Grid([usize; 2]),
}

impl Numbering {
    /// Position of image token `place`, counted among all of the image's tokens.
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

    /// First position of the text after an image of `num_image_tokens` tokens.
    pub(crate) fn text(self, num_system: usize, num_image_tokens: usize) -> usize {
        num_system
            + match self {
                Numbering::Line => num_image_tokens,
                Numbering::Grid([columns, rows]) => columns.max(rows),
            }
    }

    /// Positions of a sequence with nothing dropped.
    pub(crate) fn whole(self, layout: &TokenLayout) -> Vec<Position> {
        let places: Vec<usize> = (0..layout.num_image).collect();
        self.kept(layout, &places, layout.num_image)
    }

    /// Positions of a sequence that keeps the image tokens `places` of `num_image_tokens`: all
    /// tokens keep their original positions.
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

    /// Position of the token after a sequence, independent of dropped image tokens.
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
        // A grid of three columns and two rows.
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
