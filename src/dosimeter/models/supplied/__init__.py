"""A supplied model: the user's own trained classifier, of any kind, as one object that can be queried.

`loading` finds it from what an audit file says, `adapt` wraps it, `outputs` reads its answers as log-values `[n c]`,
`heads` finds its last layer.
"""
