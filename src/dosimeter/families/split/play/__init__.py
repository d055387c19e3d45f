"""From models to what attacks say of victims: recording, attacking, judging."""
