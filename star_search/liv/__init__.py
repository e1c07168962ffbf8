"""LIV operators: featurizers, token mixing, the LIV module, and a reference form beside every fast form."""
