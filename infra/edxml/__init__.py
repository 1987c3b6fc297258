"""
Packages in which agencies exchange documents: edXML after QCVN 102:2016.

`writing` makes one, `splitting` takes its attachments out without holding them in memory, `reading` says what
it tells, `signature` signs and checks it. Nothing here knows what an office does with a document.
"""
