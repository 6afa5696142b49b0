"""HTTP: one file for each resource, composed in `server.build_app`; what they need is composed in `services.Services`."""
