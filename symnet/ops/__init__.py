"""The op table: primitives, one row each, with shapes, values and derivatives."""
