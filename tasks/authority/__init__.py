"""Who holds which post, who may sign for whom, and what that means for one signature at one moment."""
