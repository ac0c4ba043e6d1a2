"""ValidatingAdmissionPolicies: which attempts they look at, what their expressions say, and what follows from it."""
