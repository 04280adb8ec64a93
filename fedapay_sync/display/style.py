"""
The style sheet of cards, light and dark: as the front end's theme says, else as the reader's system prefers.

It goes with every card, since each output of a notebook stands alone. A front end that drops style sheets (GitHub, a
notebook that is not trusted) shows the same words without colours.
"""

_LIGHT = (
    "--fp-back:#fff;--fp-text:#1b1f24;--fp-faint:#57606a;--fp-line:#d0d7de;--fp-link:#0757b8;"
    "--fp-wait:#6b4700;--fp-wait-back:#fff1cc;--fp-good:#0f5c27;--fp-good-back:#d7f7de;--fp-bad:#a10c23;"
    "--fp-bad-back:#ffe3e0;--fp-off:#4b545e;--fp-off-back:#e8ecf0;--fp-warn:#8f3800;--fp-warn-back:#ffe6d1;"
)
_DARK = (
    "--fp-back:#161b22;--fp-text:#e6edf3;--fp-faint:#9da7b3;--fp-line:#3a424c;--fp-link:#6cb0ff;"
    "--fp-wait:#ffd777;--fp-wait-back:#473600;--fp-good:#8ce9a1;--fp-good-back:#0e3f1c;--fp-bad:#ffb1a8;"
    "--fp-bad-back:#5a131d;--fp-off:#c2cad3;--fp-off-back:#343c46;--fp-warn:#ffc093;--fp-warn-back:#572b07;"
)
#: How front ends say which theme they have: Jupyter, VS Code, Colab and Sphinx's themes.
_SAYS_LIGHT = "[data-jp-theme-light=true] .fp-card,.vscode-light .fp-card,html[theme=light] .fp-card"
_SAYS_DARK = (
    "[data-jp-theme-light=false] .fp-card,.vscode-dark .fp-card,html[theme=dark] .fp-card,"
    "html[data-theme=dark] .fp-card"
)

CSS = (
    f".fp-card{{{_LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{.fp-card{{{_DARK}}}}}"
    f"{_SAYS_LIGHT}{{{_LIGHT}}}{_SAYS_DARK}{{{_DARK}}}"
    ".fp-card{display:inline-block;box-sizing:border-box;max-width:100%;margin:4px 0;padding:12px 16px;"
    "overflow-x:auto;border:1px solid var(--fp-line);border-radius:8px;background:var(--fp-back);"
    "color:var(--fp-text);font:14px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;"
    "font-variant-numeric:tabular-nums}"
    ".fp-card .fp-head{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:center}"
    ".fp-card .fp-title{font-weight:600}"
    ".fp-card .fp-faint{color:var(--fp-faint)}"
    ".fp-card .fp-state{padding:1px 10px;border-radius:99px;font-weight:600;font-size:13px;white-space:nowrap}"
    + "".join(
        f".fp-card .fp-{tone}{{color:var(--fp-{tone});background:var(--fp-{tone}-back)}}"
        for tone in ("wait", "good", "bad", "off", "warn")
    )
    + ".fp-card .fp-amount{font-size:26px;line-height:1.3;font-weight:650;margin:4px 0}"
    ".fp-card .fp-body{display:flex;flex-wrap:wrap;gap:8px 24px;align-items:flex-start}"
    ".fp-card table.fp-table{border-collapse:collapse;margin:6px 0 0;border:0;font:inherit;color:inherit;"
    "table-layout:auto;width:auto}"
    ".fp-card table.fp-table tr:nth-child(n){background:none;border:0}"
    ".fp-card table.fp-table th,.fp-card table.fp-table td{padding:2px 16px 2px 0;border:0;text-align:left;"
    "vertical-align:top;font-weight:400;background:none;max-width:26em;overflow-wrap:anywhere;white-space:normal}"
    ".fp-card .fp-whole{white-space:nowrap}"
    ".fp-card table.fp-table th{color:var(--fp-faint);white-space:nowrap}"
    ".fp-card table.fp-list th,.fp-card table.fp-list td{padding:4px 16px 4px 0;vertical-align:middle}"
    ".fp-card table.fp-list tbody tr:nth-child(n) td{border-top:1px solid var(--fp-line)}"
    ".fp-card table.fp-table .fp-number{text-align:right;white-space:nowrap}"
    ".fp-card a.fp-link:link,.fp-card a.fp-link:visited{color:var(--fp-link);text-decoration:underline;"
    "overflow-wrap:anywhere}"
    ".fp-card img.fp-qr{display:block;margin:4px 0 0;padding:0;max-width:100%;height:auto;"
    "border-radius:4px;background:#fff;image-rendering:pixelated}"
    ".fp-card .fp-note{margin:8px 0 0;max-width:44em}"
)
