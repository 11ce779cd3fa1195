"""Account page: who is signed in, and the way out."""

from app.signing_in import account_page

account_page()
