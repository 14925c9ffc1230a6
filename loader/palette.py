"""What pages look like: one colour a meaning and one font, on charts, tables and tiles alike."""

FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'Noto Sans CJK JP', sans-serif"
INK, MUTED, FAINT, GRID, LINK = "#1d2733", "#5b6875", "#c3ccd5", "#e8ecf0", "#174a7e"

BETTER, WORSE = "#1b4f8a", "#a8321f"
"""Of a difference that stands out: told apart with any kind of colour blindness."""

MARKS = f"""
.ld .better::after,.ld-table .better::after{{content:" \\25C7";content:" \\25C7"/" better";
color:{BETTER}}}
.ld .worse::after,.ld-table .worse::after{{content:" \\25C6";content:" \\25C6"/" worse";
color:{WORSE}}}"""
"""CSS of the diamonds behind such differences: by colour, by shape and, read out, by a word."""

COLOUR = {
    "attempted": "#d3dae1",
    "accepted": "#8aa0b6",
    "opened": "#4a90d0",
    "clicked": "#174a7e",
    "unsubscribed": "#b5547a",
    "soft": "#f0bd4f",
    "block": "#d06a10",
    "hard": "#b3261e",
    "bounced": "#7a5c48",
    "undetermined": "#2f353b",
    "unattributed": "#d2d5d8",
    "machine": "#c5d3e2",
    "beyond_95": "#a779c9",
    "beyond_998": "#5c2a80",
}
"""One colour a meaning, on every page; ordered in lightness too, so that grey print keeps it."""

SCROLLS = """background:
linear-gradient(90deg,#fff 30%,#fff0) left/44px 100%,
linear-gradient(270deg,#fff 30%,#fff0) right/44px 100%,
linear-gradient(90deg,#1d273340,#1d273300) left/14px 100%,
linear-gradient(270deg,#1d273340,#1d273300) right/14px 100%,#fff;
background-repeat:no-repeat;background-attachment:local,local,scroll,scroll"""
"""CSS of a box that scrolls sideways: a shadow at each edge behind which there is more."""
