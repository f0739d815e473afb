"""The block as a process: built with Verilator, run behind a byte stream, reached by pyserial's ``sim://``."""
