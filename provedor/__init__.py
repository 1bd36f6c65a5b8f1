"""provedor"""
