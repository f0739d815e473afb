"""The boards, a module each. A module has ``BOARDS``, a tuple of :class:`fusequote_boards.board.Board`."""
