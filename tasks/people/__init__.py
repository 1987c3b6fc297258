"""
The people of an office: who they are, how they prove it, and what they may do.

`rules` holds the one table of acts, `persons` who works where with which roles, `logins` who sits at this
desk, `acting` the question that every act asks.
"""
