"""The expert blocks: what a person with experience would bring to a state report. They inform; they do not decide."""
