//! Every way in, from the firmware up.
