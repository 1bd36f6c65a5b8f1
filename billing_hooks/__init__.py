"""billing_hooks"""
