"""The reword stage: a model that knows its captions learns what people say instead."""
