"""One threat of membership on one system: membership that is drawn here, or stated by the user."""
