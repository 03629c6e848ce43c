"""Man pages and completions of all console scripts, made of their click definitions: ``make docs``.

`scripts` finds the definitions, `roff` writes the language of man pages, `man_page` a page, `completion` what shells
read, and ``python -m manual FOLDER`` all of it.
"""
