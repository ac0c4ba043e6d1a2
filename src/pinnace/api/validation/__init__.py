"""Rules for what the kinds share: names, metadata, selectors, pod specs. All pure; each adds to a `Problems`."""
