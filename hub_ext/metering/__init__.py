"""What sessions really use of their slices: measured, kept, and watched over."""
