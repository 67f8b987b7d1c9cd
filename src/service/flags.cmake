# A service carries the libraries that it uses, not all that its layers might.
target_link_options(lh_service PUBLIC -Wl,--as-needed)
