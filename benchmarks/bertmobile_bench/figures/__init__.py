"""The figures that releases are held to; each module measures one subject."""
