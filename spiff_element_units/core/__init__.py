"""The compiled modules: workflow JSON -> pack, and pack -> units.

They take and give plain types, and know neither files nor SpiffWorkflow.
"""
