"""TRIM-POMDP: calibrate, plan with a certificate, track beliefs."""
