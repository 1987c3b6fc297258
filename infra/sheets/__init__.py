"""
Tables that people fill in with a spreadsheet: read without trusting them, written without surprises.

`reading` takes CSV and XLSX from anybody, `writing` makes workbooks and CSV files for anybody.
"""

from infra.sheets.cells import Cell, Limits, Row, Unreadable
from infra.sheets.reading import read_rows
from infra.sheets.writing import Column, Sheet, csv_text, workbook, workbook_of

__all__ = [
    "Cell",
    "Column",
    "Limits",
    "Row",
    "Sheet",
    "Unreadable",
    "csv_text",
    "read_rows",
    "workbook",
    "workbook_of",
]
