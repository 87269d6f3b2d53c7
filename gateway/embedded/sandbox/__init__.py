"""A carrier to practise on: an SMSC that speaks real SMPP over TCP, or HTTP, and shows what a phone would show.

In: binds, submits, requests and a profile that says how to behave. Out: answers, receipts, the handset's view and
counts. Never: a message to a real phone.
"""
