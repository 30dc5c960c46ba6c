//! What the device is asked for, counted.
