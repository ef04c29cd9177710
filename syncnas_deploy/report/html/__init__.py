"""The page: one HTML file that shows profiles, searches, bundles and bench results to whoever opens it.

Each module is one part of it and gives back markup. All of it works without JavaScript; `page.js` adds what moves.
"""
