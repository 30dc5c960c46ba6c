//! Attributes of objects.

/// Colours, easily distinguished from each other and from every background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Color {
    /// Red.
    Red,
    /// Green.
    Green,
    /// Blue.
    Blue,
    /// Yellow.
    Yellow,
    /// Purple.
    Purple,
    /// Orange.
    Orange,
    /// Cyan.
    Cyan,
    /// Pink.
    Pink,
}

impl Color {
    /// All colours.
    pub const ALL: [Color; 8] = [
        Color::Red,
        Color::Green,
        Color::Blue,
        Color::Yellow,
        Color::Purple,
        Color::Orange,
        Color::Cyan,
        Color::Pink,
    ];

    /// The colour's name.
    pub fn word(self) -> &'static str {
        match self {
            Color::Red => "red",
            Color::Green => "green",
            Color::Blue => "blue",
            Color::Yellow => "yellow",
            Color::Purple => "purple",
            Color::Orange => "orange",
            Color::Cyan => "cyan",
            Color::Pink => "pink",
        }
    }

    /// Values of red, green and blue.
    pub(super) fn rgb(self) -> [i32; 3] {
        match self {
            Color::Red => [226, 34, 34],
            Color::Green => [36, 184, 52],
            Color::Blue => [44, 84, 244],
            Color::Yellow => [244, 228, 44],
            Color::Purple => [146, 40, 206],
            Color::Orange => [250, 136, 22],
            Color::Cyan => [44, 222, 228],
            Color::Pink => [252, 132, 194],
        }
    }
}

/// Shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A triangle standing on its base.
    Triangle,
    /// A star of five points.
    Star,
    /// A square standing on a corner.
    Diamond,
    /// A plus sign.
    Cross,
    /// A disc with a hole.
    Ring,
    /// A heart.
    Heart,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Shape; 8] = [
        Shape::Circle,
        Shape::Square,
        Shape::Triangle,
        Shape::Star,
        Shape::Diamond,
        Shape::Cross,
        Shape::Ring,
        Shape::Heart,
    ];

    /// The shape's name.
    pub fn word(self) -> &'static str {
        match self {
            Shape::Circle => "circle",
            Shape::Square => "square",
            Shape::Triangle => "triangle",
            Shape::Star => "star",
            Shape::Diamond => "diamond",
            Shape::Cross => "cross",
            Shape::Ring => "ring",
            Shape::Heart => "heart",
        }
    }
}

/// Sizes: a small object covers about one patch, a large one about four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Size {
    /// About 18 pixels.
    Small,
    /// About 28 pixels.
    Large,
}

impl Size {
    /// Both sizes.
    pub const ALL: [Size; 2] = [Size::Small, Size::Large];

    /// The size's name.
    pub fn word(self) -> &'static str {
        match self {
            Size::Small => "small",
            Size::Large => "large",
        }
    }

    /// Possible side lengths of objects of this size, in pixels.
    pub(super) fn sides(self) -> [i32; 3] {
        match self {
            Size::Small => [17, 18, 19],
            Size::Large => [27, 28, 30],
        }
    }
}
