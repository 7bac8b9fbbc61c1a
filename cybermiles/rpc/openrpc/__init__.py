"""The description of the served methods as an OpenRPC document, made from the handlers themselves."""
