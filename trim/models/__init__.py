"""Language and reward models behind two protocols."""
