"""Decides who may do what: users, the rules of RBAC objects, reviews, tokens of service accounts."""
