"""The filter language: expressions over items, customers and contexts, compiled to masks."""
